"""What formulas mean: each lme4 form against the records it stands for."""

from __future__ import annotations

import pytest

from hglm.errors import FormulaError
from hglm.formula import STRUCTURES, parse_formula, parse_predictor


def blocks(random: str, structures: tuple[str, ...] = STRUCTURES) -> list[tuple[str, str, str]]:
    """(structure, columns, group) of each block of a random part."""
    formula = parse_formula(f"y ~ 1 + {random}", structures)
    return [(term.structure, term.columns, term.group) for term in formula.mean.random]


# Groups and their order as printed by lme4 1.1-31, `findbars(y ~ ...)`, R 4.2.2, with its
# brackets in "c:(b:a)" left out. `a * b` and `a + b` as glmmTMB 1.1.5 expands them
# (lme4 1.1-31 refuses both).
@pytest.mark.parametrize(
    ("random", "expected"),
    [
        ("(1 | g)", [("us", "1", "g")]),
        ("(1|g)", [("us", "1", "g")]),
        ("(x | g)", [("us", "1 + x", "g")]),
        ("(1 + x | g)", [("us", "1 + x", "g")]),
        ("(0 + x | g)", [("us", "0 + x", "g")]),
        ("(-1 + x | g)", [("us", "0 + x", "g")]),
        ("(x - 1 | g)", [("us", "0 + x", "g")]),
        ("(x*z | g)", [("us", "1 + x + z + x:z", "g")]),
        ("((x | g))", [("us", "1 + x", "g")]),
        ("(x || g)", [("us", "1", "g"), ("us", "0 + x", "g")]),
        ("(0 + x || g)", [("us", "0 + x", "g")]),
        ("(1 || g)", [("us", "1", "g")]),
        (
            "(x*z || g)",
            [("us", "1", "g"), ("us", "0 + x", "g"), ("us", "0 + z", "g"), ("us", "0 + x:z", "g")],
        ),
        ("(1 | a/b)", [("us", "1", "b:a"), ("us", "1", "a")]),
        ("(1 | a/b/c)", [("us", "1", "c:b:a"), ("us", "1", "b:a"), ("us", "1", "a")]),
        ("(1 | a/(b:c))", [("us", "1", "b:c:a"), ("us", "1", "a")]),
        ("(1 | (a:b)/c)", [("us", "1", "c:a:b"), ("us", "1", "a:b")]),
        (
            "(x || a/b)",
            [("us", "1", "b:a"), ("us", "1", "a"), ("us", "0 + x", "b:a"), ("us", "0 + x", "a")],
        ),
        ("(x | a:b)", [("us", "1 + x", "a:b")]),
        ("(1 | a*b)", [("us", "1", "a"), ("us", "1", "b"), ("us", "1", "a:b")]),
        ("(1 | a + b)", [("us", "1", "a"), ("us", "1", "b")]),
        ("(1 | interaction(a, b))", [("us", "1", "a:b")]),
        ("(1 | factor(g))", [("us", "1", "g")]),
        ("(1 | as.factor(g))", [("us", "1", "g")]),
        ("(1 | I(x > 3))", [("us", "1", "I(x > 3)")]),
        ("(1 | `my group`)", [("us", "1", "my group")]),
        ("(1 | g) + (0 + x | g)", [("us", "1", "g"), ("us", "0 + x", "g")]),
        ("us(x | g)", [("us", "1 + x", "g")]),
        ("diag(0 + m | g)", [("diag", "0 + m", "g")]),
        ("cs(0 + m | a/b)", [("cs", "0 + m", "b:a"), ("cs", "0 + m", "a")]),
    ],
)
def test_random_terms_expand_as_in_lme4(random, expected):
    assert blocks(random) == expected


def test_any_structure_that_is_passed_in_is_read():
    assert blocks("exp(0 + x + y | g)", ("us", "exp")) == [("exp", "0 + x + y", "g")]


def test_a_structure_is_told_from_a_function_by_its_bar():
    formula = parse_formula("y ~ cs(x, df=4) + cs(0 + m | g) + I(a | b)")
    assert formula.mean.fixed == "1 + cs(x, df=4) + I(a | b)"
    assert [term.structure for term in formula.mean.random] == ["cs"]


@pytest.mark.parametrize(
    ("right", "fixed"),
    [
        ("x + (1 | g)", "1 + x"),
        ("(1 | g)", "1"),
        ("(1 | g) + x - 1", "0 + x"),
        ("0 + (1 | g)", "0"),
        ("x * z", "1 + x + z + x:z"),
        ("(a + b)^2", "1 + a + b + a:b"),
        ("x:z + x", "1 + x + x:z"),
        ("I(x^2)", "1 + I(x ** 2)"),
        ("factor(k) + as.factor(j)", "1 + C(k) + C(j)"),
        ("poly(x, 2, raw = TRUE)", "1 + poly(x, 2, raw=True)"),
        ("C(m, contr.sum)", "1 + C(m, contr.sum)"),
        ("`my column` + log(`my column`)", "1 + `my column` + log(`my column`)"),
        ("resp.time", "1 + resp.time"),
        ("{a + b}", "1 + {a + b}"),
        ("x %in% z", "1 + z + z:x"),
        ("x + offset(log(t)) + offset(o)", "1 + x"),
    ],
)
def test_the_fixed_part_is_what_formulaic_makes_of_it(right, fixed):
    assert parse_formula(f"y ~ {right}").mean.fixed == fixed


def test_quoted_text_is_not_translated_from_R():
    fixed = parse_formula('y ~ C(x, Treatment("a^b TRUE")) + I(`p^2`)').mean.fixed
    assert fixed == "1 + C(x, Treatment('a^b TRUE')) + I(`p^2`)"


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ("y", ("y",)),
        ("log(y)", ("log(y)",)),
        ("np.log(y)", ("np.log(y)",)),
        ("I(y/2)", ("I(y / 2)",)),
        ("successes / trials", ("successes / trials",)),
        ("y^2", ("y ** 2",)),
        ("`my response`", ("my response",)),
        ("resp.time", ("resp.time",)),
        ("cbind(s, n - s)", ("s", "n - s")),
        ("cbind(f(a, b), `odd one`)", ("f(a, b)", "odd one")),
    ],
)
def test_responses(left, expected):
    assert parse_formula(f"{left} ~ x").response == expected


def test_offsets_keep_their_expressions():
    formula = parse_formula("y ~ offset(log(t)) + x + offset(`o o`)")
    assert formula.mean.offsets == ("log(t)", "o o")


def test_white_space_and_line_ends_do_not_matter():
    spread = parse_formula("y ~ x +\n\t(1 |\n g)\n")
    assert spread.mean.fixed == "1 + x"
    assert [term.group for term in spread.mean.random] == ["g"]
    assert spread.text == "y ~ x +\n\t(1 |\n g)\n", "the text is kept as typed"


def test_the_span_of_a_term_is_where_it_stands():
    text = "y ~ x + (x || g)"
    assert {term.span for term in parse_formula(text).mean.random} == {(8, 16)}


def test_one_sided_formulas():
    predictor = parse_predictor("~ x + (1 | g) + offset(o)")
    assert (predictor.fixed, predictor.offsets) == ("1 + x", ("o",))
    assert [term.group for term in predictor.random] == ["g"]


def test_parsing_twice_gives_the_same_record():
    assert parse_formula("y ~ x + (1 | g)") is parse_formula("y ~ x + (1 | g)")


def test_a_formula_that_is_no_string_is_refused():
    with pytest.raises(FormulaError, match="not an object of type list"):
        parse_formula(["y ~ x"])
