"""Random texts: values of overrides, scalars of YAML files, interpolations."""

INTS = ["0", "1", "-3", "+7", "42", "1_000", "-0"]
FLOATS = ["0.5", "-1.5", "1e-3", "1E5", "1e3", ".5", "5.", "1_0.5", "1e-05", "1e16", "0.0001",
          "12345678.9", "1e22", "-.5", "+1.5", "1e400", "3.0"]
SPECIAL = ["inf", "-inf", "nan", "NaN", "INF", "true", "True", "FALSE", "false", "tRuE", "null",
           "NULL", "Null", "none", "None", "yes", "no", "on", "off", "~", "???"]
NUMBER_LIKE = ["010", "0x10", "0b1", "1:30", "1__0", "_1", "1_", "08", "1e", "e5", "1.2.3", "-",
               "+", ".", "1-2", "5a", "a5", "0o7", "1:2", "00", "-010", "1_000.5_0", "0.1_5"]
WORDS = ["a", "foo", "foo-bar", "foo_bar", "x.y", "a/b", "a b", "hello  world", "a:b", "http://x/y",
         "a@b", "50%", "*", "a*b", "?", "a|b", "a+b", "$x", "$", "-a", "a.b.c", "/abs", "w1"]
ESCAPED = [r"a\,b", r"a\ b", r"\ ", r"a\=b", r"\{x\}", r"\[x\]", r"a\\b", r"\\", r"a\:b", r"\(x\)",
           r"a\b", r"\,", r"x\\\,y"]
QUOTED = ["''", '""', "'a'", '"a"', "'a b'", "'a,b'", "'1'", '"true"', "'null'", r"'it\'s'",
          r'"say \"x\""', r"'a\\'", r"'a\\b'", r"'a\nb'", "' pad '", "'a=b'", "'${x}'",
          r"'\\\'x'", "'???'", '"1e3"', "'[1,2]'", "'010'", "'yes'", "'1_0'"]
BROKEN = ["'", '"', "'a", "[", "]", "{", "}", "[1", "1]", "{a:1", "{a}", "a=b", ",", "1,", ",1", "a!",
          "#a", "a;b", "(", ")", "f(", "f)", "'a'b", "b'a'", "'a' 'b'", "[1,]", "{a:1,}", "a&b",
          "<x>", "a,,b", "[,]", "${", "${}", "foo(1)", "\\", "a\\", "é", "'é'"]
INTERPOLATIONS = ["${a}", "${b}", "${m.x}", "x${a}", "${a}y${b}", "${m.${k}}", "${l.0}", "${l[1]}",
                  "${m[x]}", "${oc.env:ATTNLAB_DIFF_A}", "${oc.env:ATTNLAB_NONE,dflt}",
                  "${oc.env:ATTNLAB_NONE}", "${oc.select:m.x}", "${oc.select:nope,5}",
                  "${oc.decode:'1e3'}", "${oc.decode:${s}}", "${oc.dict.keys:m}",
                  "${oc.dict.values:m}", "${oc.create:{p:1}}", "${missing.key}"]


def scalar(rng):
    pool = rng.choice([INTS, INTS, FLOATS, SPECIAL, WORDS, WORDS, QUOTED, ESCAPED, NUMBER_LIKE])
    return rng.choice(pool)


def spaced(rng, text):
    return rng.choice(["", "", "", " ", "  "]) + text + rng.choice(["", "", "", " "])


def number(rng):
    return rng.choice(INTS + FLOATS[:6])


def argument(rng, depth):
    return spaced(rng, element(rng, depth + 1) if rng.random() < 0.4 else scalar(rng))


def function(rng, depth):
    name = rng.choice(["choice", "range", "sort", "shuffle", "int", "float", "str", "bool", "glob",
                       "choice", "range", "sort", "extend_list", "interval", "tag"])
    if name == "range":
        count = rng.randint(1, 3)
        parts = [rng.choice(["0", "1", "2", "5", "1.5", "0.5", "-2", "3.0"]) for _ in range(count)]
        if rng.random() < 0.3:
            names = ["start", "stop", "step"]
            first = rng.randint(0, count)
            parts[first:] = [f"{names[i]}={parts[i]}" for i in range(first, count)]
        return f"range({','.join(parts)})"
    if name == "glob":
        pattern = rng.choice(["*", "a*", "'*b'", "[a*,b*]", "?", "'[ab]*'", "nomatch", "opt?"])
        exclude = rng.choice(["", "", ",exclude=a*", ",exclude=[a,b]", ", exclude = 'b*'"])
        return f"glob({pattern}{exclude})"
    if name in ("int", "float", "bool") and rng.random() < 0.7:
        pool = {"int": ["1", "1.7", "'12'", "true", "-2.5", "abc", "' 3 '", "1_0", "'1_0'"],
                "float": ["1", "1.5", "'2.5'", "true", "'inf'", "x", "'1e3'", "1e22"],
                "bool": ["1", "0", "true", "'false'", "abc", "0.0", "2.5", "'True'"]}[name]
        inner = rng.choice(pool)
        if rng.random() < 0.3:
            inner = rng.choice([f"[{inner},1]", f"{{a:{inner}}}", f"choice({inner},1)",
                                f"{inner},1", "range(1,4)", "range(0.5,3)", f"value={inner}"])
        return f"{name}({inner})"
    if name == "choice" and rng.random() < 0.7:
        return f"choice({','.join(spaced(rng, scalar(rng)) for _ in range(rng.randint(1, 3)))})"
    arguments = [argument(rng, depth) for _ in range(rng.choice([0, 1, 1, 2, 3]))]
    if name == "sort":
        if rng.random() < 0.8:
            pool = rng.choice([INTS, FLOATS[:6], ["a", "b", "'c'", "B"], INTS + FLOATS[:3]])
            arguments = [rng.choice(pool) for _ in range(rng.randint(1, 4))]
            if rng.random() < 0.4:
                arguments = [rng.choice(["choice({})", "[{}]", "sweep=choice({})",
                                         "list=[{}]"]).format(",".join(arguments))]
        elif rng.random() < 0.5:
            arguments = ["range({},{})".format(rng.randint(0, 5), rng.randint(0, 5))]
        if rng.random() < 0.3:
            arguments.append(rng.choice(["reverse=true", "reverse=false", "reverse=1"]))
    if name == "shuffle":
        arguments = [rng.choice(["7", "choice(8)", "[9]", "'x'", "list=[5]"])]
    return f"{name}({','.join(arguments)})"


def element(rng, depth=0):
    """One value that is not swept at its top (or, rarely, something broken)."""
    kind = rng.random()
    if depth < 3 and kind < 0.16:
        return "[" + spaced(rng, ",".join(spaced(rng, element(rng, depth + 1))
                                          for _ in range(rng.randint(0, 3)))) + "]"
    if depth < 3 and kind < 0.30:
        items = []
        for _ in range(rng.randint(0, 3)):
            key = rng.choice(["x", "y", "z", "new", "a b", "k-1", "p.q", "x"])
            items.append(f"{key}{rng.choice([':', ': ', ' : '])}{element(rng, depth + 1)}")
        return "{" + ",".join(items) + "}"
    if depth < 3 and kind < 0.36:
        return function(rng, depth)
    if kind < 0.37:
        return rng.choice(BROKEN)
    if kind < 0.43:
        return rng.choice(INTERPOLATIONS)
    return scalar(rng)


def value(rng):
    """What may stand behind the `=` of an override."""
    kind = rng.random()
    if kind < 0.55:
        return element(rng)
    if kind < 0.75:
        return ",".join(spaced(rng, element(rng)) for _ in range(rng.randint(2, 3)))
    if kind < 0.97:
        return function(rng, 0)
    return ""


def yaml_scalar(rng):
    """A scalar as YAML files have them, odd ones included."""
    pool = rng.choice([INTS, FLOATS, SPECIAL, NUMBER_LIKE, WORDS[:10], QUOTED[:9],
                       [".inf", "-.inf", ".nan", ".Inf", "1e3", "1e-3", "1.e3", ".5e3", ".5e-3",
                        "+.5", "0x_1F", "0b_1", "0_7", "1:30:15", "1:60", "190:20:30.15", "y", "n",
                        "Yes", "NO", "On", "2001-01-01", "12:30:45", "0.", "-0x1f", "+12", "1e+3",
                        "'a''b'", '"a\\tb"', '"\\u00e9"', "é", "=", "<", "!x", "a#b", "a #b", "|"]])
    return rng.choice(pool)
