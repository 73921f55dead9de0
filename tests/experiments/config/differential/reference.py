"""What Hydra makes of a case: composed, resolved configs, one per sweep job, or an error."""

import warnings

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

warnings.simplefilter("ignore")


def jobs(config_dir, overrides):
    """Raises what Hydra raises."""
    with initialize_config_dir(version_base=None, config_dir=str(config_dir)):
        loader = GlobalHydra.instance().config_loader()
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(overrides)
        sets = [overrides]
        if any(override.is_sweep_override() for override in parsed):
            sets = BasicSweeper.split_arguments(parsed, None)[0]
        return [OmegaConf.to_container(compose("config", list(one)), resolve=True) for one in sets]


def outcome(config_dir, overrides):
    """{"jobs": [...]} or {"error": message}."""
    try:
        return {"jobs": jobs(config_dir, overrides)}
    except Exception as error:  # Hydra lets many types out, AssertionError among them.
        return {"error": f"{type(error).__name__}: {error}"}
