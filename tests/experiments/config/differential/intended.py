"""The differences from Hydra that are meant; README.md gives the reasons.

A rule explains a difference only if its pattern fits the message of the side that fails (or the
values that differ), and only for cases that have what the rule is about.
"""

import re

# (name, pattern of our message, pattern that the case must hold): we refuse what Hydra composes.
STRICTER = [
    ("glob() needs a group", r"glob\(\) chooses among the options of a group", r"glob\("),
    ("a sweep inside a value is refused", r"a sweep cannot stand inside another value", r"\("),
    ("integers have 64 bits", r"does not fit into 64 bits", r"[0-9]"),
    ("keys are strings", r"a key must be a string", r"[:?]"),
    ("a group may be listed once", r"appears twice in the defaults lists", r"defaults:"),
    ("an option asked for must exist", r"has no option '", r"optional "),
    ("numbers of a range are finite", r"range\(\) needs finite numbers", r"range\("),
    ("~key=null deletes null only", r"not null, so it is not deleted", r"(?i)~\S+=\s*null"),
    ("deletions are not swept", r"a deletion cannot be swept", r"~"),
    ("oc.dict.values shows values", r"refers to itself", r"oc\.dict\.values"),
]

# (name, pattern of Hydra's message, pattern that the case must hold): we compose what it refuses.
MORE = [
    ("nested interpolation in an override", r"OverrideParseException", r"\$\{[^}]*['{(]"),
    ("quoted keys in a dict", r"OverrideParseException", r"[{,]\s*['\"]"),
    ("words outside ASCII in an override", r"OverrideParseException", r"[^\x00-\x7f]"),
    ("functions of Hydra 1.4", r"Unknown function '(extend_list|json_str)'", r"extend_list|json_str"),
    ("~ of a list item", r"list indices must be integers", r"~"),
    ("~ of null or ???", r"Could not delete from config\. '[^']*' does not exist", r"~"),
    ("an int as a key in ${l.${i}}", r"used to denote a config key", r"\$\{one\}"),
    ("= as a scalar", r"tag:yaml\.org,2002:value", r"="),
    ("tabs between values", r"found character '\\t' that cannot start", r"\t"),
    ("an override of an interpolated choice",
     r"Error resolving interpolation|Could not override|Could not find", r"(?s)(?=.*- [^\n]*: \S*\$\{)(?=.*override /)"),
]


def differences(ours, theirs):
    """The pairs of values that differ, leaves first."""
    if type(ours) is type(theirs) and isinstance(ours, dict) and ours.keys() == theirs.keys():
        return [pair for key in ours for pair in differences(ours[key], theirs[key])]
    if type(ours) is type(theirs) and isinstance(ours, list) and len(ours) == len(theirs):
        return [pair for one, other in zip(ours, theirs) for pair in differences(one, other)]
    return [] if ours == theirs and type(ours) is type(theirs) else [(ours, theirs)]


def shows_raw_interpolation(case_text, ours, theirs):
    """Hydra writes the text of interpolations inside what these resolvers give, we their values."""
    if not re.search(r"oc\.(dict\.values|create)", case_text):
        return False
    pairs = differences(ours["jobs"], theirs["jobs"])
    return bool(pairs) and all(isinstance(other, str) and "${" in other and isinstance(one, str)
                               for one, other in pairs)


def rereads_text(overrides, ours, theirs):
    """Beside a sweep, Hydra reads the text that a function gave once more: str(1) becomes the int 1."""
    if not any(re.search(r"(str|sort|shuffle)\s*\(", text) for text in overrides):
        return False
    pairs = differences(ours["jobs"], theirs["jobs"])
    return len(theirs["jobs"]) > 1 and bool(pairs) and all(
        isinstance(one, str) and not isinstance(other, (str, list, dict)) for one, other in pairs)


def rule_of(case, ours, theirs):
    """The name of the rule that explains a difference, or None."""
    text = "\n".join([*case["overrides"], *case["files"].values()])
    if "error" in ours:
        for name, message, about in STRICTER:
            if re.search(message, ours["error"]) and re.search(about, text):
                return name
        return None
    if "error" in theirs:
        for name, message, about in MORE:
            if re.search(message, theirs["error"]) and re.search(about, text):
                return name
        return None
    if shows_raw_interpolation(text, ours, theirs):
        return "values inside a text are resolved"
    if rereads_text(case["overrides"], ours, theirs):
        return "text of a function stays text beside a sweep"
    return None
