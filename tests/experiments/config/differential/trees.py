"""Random config trees and overrides: what one case of the comparison consists of."""

import values

GROUPS = {"db": ["a", "b", "ab"], "store": ["a", "b"], "db/net": ["a", "b"], "model": ["opt1", "opt2"],
          "a_b": ["x"], "exp": ["e1", "e2"]}
KEYS = ["a", "b", "s", "k", "m.x", "m.y", "l", "n", "m"]
PACKAGES = ["_global_", "_here_", "_group_", "pkg", "p.q", "_group_.sub", "_global_.g", "_here_.h"]
PLAIN = ["1", "2.5", "true", "text", "'quoted'", "null", "[1, 2]", "{x: 1}", "1e3", "???", "010"]


def content(rng, names, interpolate=0.12):
    """A few lines of YAML; names tell which keys."""
    lines = []
    for name in rng.sample(names, rng.randint(0, min(3, len(names)))):
        kind = rng.random()
        if kind < interpolate:
            lines.append(f"{name}: {rng.choice(interpolations(rng))}")
        elif kind < 0.7:
            lines.append(f"{name}: {rng.choice(PLAIN)}")
        elif kind < 0.9:
            lines.append(f"{name}:\n  x: {rng.choice(PLAIN)}\n  y: {rng.choice(PLAIN)}")
        else:
            lines.append(f"{name}: [{rng.choice(PLAIN[:5])}, {{q: {rng.choice(PLAIN[:5])}}}]")
    return "\n".join(lines) + ("\n" if lines else "")


def interpolations(rng):
    return ["${a}", "'${a} and ${b}'", "${.x}", "${..a}", "${m.x}", "'${m.${k}}'", "${s}", "${l.0}",
            "${l[0]}", "'\\${a}'", "'${oc.env:ATTNLAB_DIFF_A}'", "${oc.select:a,7}",
            "'${oc.decode:${s}}'", "${oc.dict.keys:m}", "${oc.dict.values:m}", "'${oc.create:{z: 3}}'",
            "${now:%Y}", "'${oc.env:ATTNLAB_NONE,-1}'", "'${oc.env:ATTNLAB_NONE,null}'",
            "'${oc.select:zz,[1,2]}'", "${db}", "'<${m}>'", "'<${l}>'", "${...a}", "${n}"]


def package_suffix(rng, chance):
    return "@" + rng.choice(PACKAGES) if rng.random() < chance else ""


def defaults_entry(rng, groups, in_group, together=()):
    """One line of a defaults list; together tells which groups the list has."""
    kind = rng.random()
    group = rng.choice(groups)
    option = rng.choice(GROUPS[group])
    written = group
    if in_group:
        # Relative to the folder of the config, or from the top.
        if in_group + "/net" == group and rng.random() < 0.7:
            written = "net"
        else:
            written = "/" + group
    elif rng.random() < 0.1:
        written = "/" + group
    package = package_suffix(rng, 0.2)
    if kind < 0.60:
        return f"- {written}{package}: {option}"
    if kind < 0.65:
        return f"- {written}{package}: null"
    if kind < 0.74:
        several = rng.sample(GROUPS[group], rng.randint(1, len(GROUPS[group])))
        return f"- {written}{package}: [{', '.join(several)}]"
    if kind < 0.80:
        return f"- optional {written}{package}: {rng.choice([option, 'nothere'])}"
    if kind < 0.86:
        return f"- {written}/{option}{package}"
    if kind < 0.87:
        return f"- override {written}{package}: {option}"
    if kind < 0.88:
        return f"- {written}{package}: ???"
    if kind < 0.94:
        others = [other for other in together if other != group and "/" not in other]
        if others:
            return f"- {written}{package}: {rng.choice(['${%s}', '${%s}', 'a${%s}']) % rng.choice(others)}"
        return f"- {written}{package}: {option}"
    if kind < 0.95:
        return f"- {written}: nothere"
    if kind < 0.985:
        return f"- {rng.choice(['other', 'other', 'other@p.q', '/other', 'nowhere', 'optional other'])}"
    return rng.choice(["- {}", "- 5", "- [a]", "- null", f"- {written}:", f"- {written}: 5",
                       f"- {{{group}: a, x: b}}", "- _self_@x", "- ''"])


def defaults(rng, lines):
    lines = list(lines)
    if rng.random() < 0.6:
        lines.insert(rng.choice([0, len(lines), rng.randint(0, len(lines))]), "- _self_")
    # Overrides belong at the end, where most users have them.
    if rng.random() < 0.9:
        lines.sort(key=lambda line: line.startswith("- override"))
    return "defaults:\n" + "".join(f"  {line}\n" for line in lines)


def header(rng, chance):
    if rng.random() >= chance:
        return ""
    package = rng.choice(["_global_", "_global_", "pkg", "p.q", "_global_.z", "db"])
    return rng.choice(["# @package {}\n", "#@package {}\n", "\n# @package {}\n",
                       "# text\n# @package {}\n", "# @package {}\n"]).format(package)


def tree_case(rng):
    files = {}
    chosen = rng.sample(list(GROUPS), rng.randint(1, 4))
    for group, options in GROUPS.items():
        for option in options:
            text = header(rng, 0.15)
            if "/" not in group and rng.random() < 0.15:
                below = [other for other in GROUPS if other.startswith(group + "/")]
                text += defaults(rng, [defaults_entry(rng, below or ["model"], group)])
            text += content(rng, ["a", "b", "m", "s", f"own_{option}"], 0.02)
            files[f"{group}/{option}.yaml"] = text
    for option in GROUPS["exp"]:
        lines = [f"  - override /{group}{package_suffix(rng, 0.05)}: {rng.choice(GROUPS[group])}\n"
                 for group in rng.sample(chosen, rng.randint(0, 1)) if group != "exp"]
        text = "# @package _global_\n" if rng.random() < 0.9 else ""
        if lines:
            text += "defaults:\n" + "".join(lines)
        files[f"exp/{option}.yaml"] = text + content(rng, ["a", "b", "m", "n"], 0.05)
    files["other.yaml"] = header(rng, 0.1) + content(rng, ["a", "b", "m"], 0.02)
    lines = [defaults_entry(rng, [group], "", chosen) for group in chosen]
    if rng.random() < 0.1:
        lines.append(defaults_entry(rng, chosen, "", chosen))
    base = "a: 1\nk: x\ns: '3'\nm: {x: 5, y: 6}\nl: [0, 1]\nn: null\n"
    primary = defaults(rng, lines) if rng.random() < 0.95 else ""
    files["config.yaml"] = primary + (base if rng.random() < 0.7 else content(rng, KEYS, 0.03))
    if base in files["config.yaml"] and rng.random() < 0.3:
        files["config.yaml"] += f"b: {rng.choice(interpolations(rng))}\n"
    used = [line.split()[1].rstrip(":") for line in lines if line.count(":") == 1
            and not line.startswith(("- override", "- {", "- optional"))]
    overrides = [tree_override(rng, used) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
    return {"files": files, "overrides": overrides}


def tree_override(rng, used):
    written = rng.choice(used) if used and rng.random() < 0.85 else rng.choice(list(GROUPS))
    group, _, package = written.lstrip("/").partition("@")
    if group not in GROUPS:
        group = rng.choice(list(GROUPS))
    option = rng.choice(GROUPS[group])
    package = "@" + package if package else package_suffix(rng, 0.04)
    kind = rng.random()
    if kind < 0.35:
        return f"{group}{package}={option}"
    if kind < 0.45:
        group = rng.choice([group, *GROUPS, *GROUPS])
        return f"+{group}{package_suffix(rng, 0.1)}={rng.choice(GROUPS[group])}"
    if kind < 0.55:
        return f"~{group}{package}" + rng.choice(["", "", f"={option}"])
    if kind < 0.64:
        return f"{group}={','.join(GROUPS[group])}"
    if kind < 0.68:
        return f"{group}=glob({rng.choice(['*', 'a*', 'opt*'])})"
    if kind < 0.72:
        return f"{group}=[{','.join(rng.sample(GROUPS[group], len(GROUPS[group])))}]"
    if kind < 0.71:
        return rng.choice([f"++{group}={option}", f"{group}=null", f"{group}=nothere", f"{group}=5",
                           f"{group}=", f"+{group}={{x:1}}", f"{group}.x=3", f"{group}='{option}'"])
    key = rng.choice(["a", "k", "m.x", "n", "m", "l.0", "s"] * 2 + ["db.a", "store.own_a", "pkg.a"])
    sign = rng.choice(["", "", "", "++", "++", "~", "+"])
    key = key if sign != "+" else rng.choice(["new", "m.new", "n", "db.new", "m"])
    if sign == "~":
        return f"~{key}" + rng.choice(["", "", "=1"])
    return f"{sign}{key}={rng.choice(PLAIN[:6] + ['{x:5}', '{new:5}', '[3]', '1,2', 'choice(1,2)'])}"


def value_case(rng):
    """One flat config; the values of the overrides are what is tried."""
    config = ("a: 1\nb: text\ns: '2.5'\nk: x\nm: {x: 1, y: {z: 2}}\nl: [1, [2, 3], {q: r}]\n"
              "n: null\nu: ???\n")
    files = {"config.yaml": config}
    for option in ["a", "b", "ab", "opt1"]:
        files[f"g/{option}.yaml"] = f"v: {option}\n"
    overrides = []
    for _ in range(rng.choice([1, 1, 2])):
        sign = rng.choice(["", "", "", "", "+", "+", "++", "~"])
        there = KEYS[:7] + ["m", "u", "l.0", "l.1.0", "m.y", "m.y.z", "n"]
        new = ["new", "new.p", "m.new", "n.below", "n", "u", "$v", "a-b", "g"]
        odd = KEYS + ["l.9", "a.below", "b.below", "l.x", "nope", "m.nope"] + new + there
        pool = {"": there, "+": new, "++": there + new, "~": there}[sign]
        key = rng.choice(pool if rng.random() < 0.9 else odd)
        if sign == "~" and rng.random() < 0.6:
            overrides.append(f"~{key}")
        elif sign != "~" and key == "g":
            overrides.append("+g=" + rng.choice(["a", "glob(*)", "glob(a*,exclude=ab)", "a,b", "[a,b]",
                                                 "sort(b,a)", "choice('a','b')", "glob([a*,o*])"]))
        else:
            text = f"{sign}{key}={values.value(rng)}"
            if rng.random() < 0.05:
                text = mutated(rng, text)
            overrides.append(text)
    return {"files": files, "overrides": overrides}


def mutated(rng, text):
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(list("=,:'\"[]{}()\\$ @/+~.-")) + text[place:]


def scalar_case(rng):
    lines = [f"k{i}: {values.yaml_scalar(rng)}" for i in range(rng.randint(1, 4))]
    if rng.random() < 0.4:
        items = [values.yaml_scalar(rng) for _ in range(rng.randint(0, 3))]
        lines.append("flow: [" + ", ".join(items) + "]")
    if rng.random() < 0.3:
        lines.append("map: {p: " + values.yaml_scalar(rng) + "}")
    if rng.random() < 0.5:
        lines.append("text: '<${k0}>'")
    if rng.random() < 0.1:
        lines.append(rng.choice(["k0: again", "base: &b {x: 1}\nuse: {<<: *b, y: 2}",
                                 "long: |\n  a\n  b\n", "fold: >-\n  a\n  b\n", "? q\n: 1",
                                 "an: &x 5\nal: *x", "--- 1", "tab:\tx", "empty:", "{}: 1"]))
    return {"files": {"config.yaml": "\n".join(lines) + "\n"}, "overrides": []}


# The first ones of both lists work.
WORKING = 24
INNER = ["a", "m.x", "k", "l.0", "s", "m", "l", "n", "deep.o.p", "l[1]", "m[x]", "[a]", "[m].x", "a",
         "m.${k}", "l.${zero}", " a ", "a-b", "$d", "m.y.z.1", "m.y", "deep", "loop1", "deep.o", "u",
         "m.[x]", "m.nope", ".x", "..a", "...a", ".", "", " a ", "a.", "m..x", "${k}",
         "m.${k}", "${s}", "m.${u}", "l.${one}", "l.${zero}", "'a'", "A", "a b", "$d", "0", "a-b"]
RESOLVERS = ["oc.env:ATTNLAB_DIFF_A", "oc.env:ATTNLAB_DIFF_N", "oc.env:ATTNLAB_NONE,5",
             "oc.env:ATTNLAB_NONE,null", "oc.env:ATTNLAB_NONE, a b ", "oc.env:ATTNLAB_NONE,'q r'",
             "oc.env:ATTNLAB_NONE,[1,a]", "oc.env:ATTNLAB_NONE,${a}", "oc.env:ATTNLAB_NONE,true",
             "oc.decode:'5'", "oc.decode:'[1,2]'", "oc.decode:'{a: 1}'", "oc.decode:${s}",
             "oc.decode:${oc.env:ATTNLAB_DIFF_N}", "oc.select:m.x", "oc.select:nope,3",
             "oc.select:u,4", "oc.select:nope,{p: q}", "oc.select:m", "oc.dict.keys:m",
             "oc.dict.values:m", "oc.create:{a: 1}", "now:%Y", "oc.select:nope,${a}",
             "oc.env:ATTNLAB_NONE", "oc.env:ATTNLAB_NONE,1e5", "oc.env:ATTNLAB_NONE,", "oc.env:",
             "oc.env", "oc.env:a,b,c", "oc.decode:5", "oc.decode:null", "oc.decode:'a b'",
             "oc.decode:'${a}'", "oc.decode:${n}", "oc.decode:'[1'", "oc.select:nope",
             "oc.select:n,5", "oc.select:.x", "oc.select:..a", "oc.select:nope,'x y'", "oc.select:u",
             "oc.select:l.0", "oc.select:'l[1]'", "oc.dict.keys:nope", "oc.dict.keys:l",
             "oc.dict.keys:.", "oc.dict.keys:a", "oc.dict.values:deep", "oc.dict.keys:deep.o",
             "oc.create:[1,2]", "oc.create:5", "oc.create:'a: 1'", "oc.create:${m}",
             "oc.create:null", "oc.create:'5'", "now:'%Y'", "now:x%%y", "nope:1", "oc.nope:1",
             "oc.select:a b", "oc.create:{a: ${a}, b: [x, 'y']}", "oc.env:ATTNLAB_NONE,{a: 1}",
             "oc.decode:010", "oc.create:[${a},${m}]", "oc.env:ATTNLAB_NONE,0.1",
             "oc.env:ATTNLAB_NONE,a\\,b", "oc.deprecated:a", "oc.create:text"]


def interpolated(rng):
    """A text with one to three interpolations."""
    parts = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        count = WORKING if rng.random() < 0.75 else None
        inner = rng.choice((INNER if rng.random() < 0.55 else RESOLVERS)[:count])
        parts.append(rng.choice(["", "", "", "x", " ", "\\", "\\\\", "$", "a\\b"]) + "${" + inner + "}")
    text = "".join(parts) + rng.choice(["", "", "", "y", " ", "}", "\\", "$"])
    return mutated(rng, text) if rng.random() < 0.03 else text


def interpolation_case(rng):
    config = ("a: 1\nk: x\ns: '2.5'\nn: null\nu: ???\none: 1\nzero: '0'\nf: 1.0e-5\nt: true\n"
              "l: [first, 2, {q: 1.5}]\nloop1: ${loop2}\nloop2: ${loop1}\n$d: dollar\na-b: dash\n")
    if rng.random() < 0.9:
        config = config.replace("loop1: ${loop2}\nloop2: ${loop1}\n", "loop1: 5\n")
    quote = lambda text: "'" + text.replace("'", "''") + "'"
    lines = [f"i{i}: {quote(interpolated(rng))}" for i in range(rng.choice([1, 1, 1, 2]))]
    inside = quote(interpolated(rng)) if rng.random() < 0.3 else "3"
    config += "\n".join(lines) + f"\nm:\n  x: 7\n  y: {{z: [1, two]}}\n  w: {inside}\n"
    config += f"deep: {{o: {{p: {quote('${..x}') if rng.random() < 0.2 else 4}, q: null}}, x: up}}\n"
    if rng.random() < 0.3:
        config += "ref: '${m}'\nthrough: '${ref.x}'\ntext: '<${l} ${m} ${f} ${t} ${n}>'\n"
    overrides = []
    if rng.random() < 0.2:
        overrides.append(rng.choice(["+new=${m}", "a=${m.x}", "m.x=${a}", "+z='${a} b'", "+z=${a} b",
                                     "l=[${a},${k}]", "+z={p:${a}}", "+z=${oc.select:a}",
                                     "+z=${oc.env:ATTNLAB_DIFF_A}", "+m.rel=${.x}", "i0=1,${a}"]))
    return {"files": {"config.yaml": config}, "overrides": overrides}


CASES = {"tree": (tree_case, 0.40), "value": (value_case, 0.30),
         "interpolation": (interpolation_case, 0.18), "scalar": (scalar_case, 0.12)}


def case(rng, kind=None):
    """A random case, of one kind where it is given."""
    weights = [weight for _, weight in CASES.values()]
    kind = kind or rng.choices(list(CASES), weights)[0]
    return {"kind": kind, **CASES[kind][0](rng)}
