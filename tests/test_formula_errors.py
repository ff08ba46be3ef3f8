"""Slips in formulas: the caret stands under the slip, the sentence has the remedy."""

from __future__ import annotations

import pickle

import pytest

from hglm.errors import FormulaError
from hglm.formula import parse_formula, parse_predictor

# Formula, carets under it, a piece of the remedy.
SLIPS = [
    ("y x + (1 | g)", "^^^^^^^^^^^^^", "write `response ~ predictors`"),
    ("y = x + (1 | g)", "  ^          ", "Write `~` instead of `=`"),
    ("y == x        ", "  ^^          ", "Write `~` instead of `=`"),
    ("y ~ x ~ z", "      ^  ", "remove the other"),
    ("~ x", "^  ", "write `response ~ predictors`"),
    ("y ~ ", "  ^ ", "`1` for an intercept alone"),
    ("lmer(y ~ x + (1 | g))", "^^^^^^^^^^^^^^^^^^^^^", "Give the formula alone"),
    ("y ~ x, random = ~1 | g", "       ^^^^^^^^       ", "`y ~ x + (1 | g)`"),
    ("y ~ x + (1 | g", "        ^     ", "add `)`"),
    ("y ~ x + 1 | g)", "             ^", "closes nothing"),
    ("y ~ x + (1 | g]", "              ^", "write `)` here"),
    ("y ~ [x | g]", "    ^      ", "write round ones"),
    ("y ~ `x", "    ^ ", "never closed"),
    ("y ~ `` + x", "    ^^    ", "name of a column inside"),
    ("y ~ {} + x", "    ^^    ", "Python expression inside"),
    ("y ~ x | g", "      ^  ", "write `(x | g)`"),
    ("y ~ x || g", "      ^^  ", "write `(x || g)`"),
    ("y ~ z + 1 | g", "          ^  ", "write `(1 | g)`"),
    ("y ~ (1 | )", "    ^^^^^^", "no grouping factor after the bar"),
    ("y ~ ( | g)", "    ^^^^^^", "no column before the bar"),
    ("y ~ us( | g)", "    ^^^^^^^^", "no column before the bar"),
    ("y ~ (0 | g)", "    ^^^^^^^", "write `(1 | g)` or `(0 + x | g)`"),
    ("y ~ (1 ||| g)", "       ^^^   ", "too many bars"),
    ("y ~ (1 | i | g)", "           ^   ", "one bar"),
    ("y ~ (1 | (1 | g))", "            ^    ", "`(1 | a/b)`"),
    ("y ~ (x + us(1 | g) | h)", "         ^^^^^^^^^     ", "side by side"),
    ("y ~ (x + (1 | g))", "    ^^^^^^^^^^^^^", "only be added"),
    ("y ~ x * (1 | g)", "    ^^^^^^^^^^^", "only be added"),
    ("y ~ x:us(1 | g)", "    ^^^^^^^^^^^", "only be added"),
    ("y ~ x - (1 | g)", "      ^        ", "cannot be subtracted"),
    ("y ~ (1 | 1)", "         ^ ", "name of a column after the bar"),
    ("y ~ (1 | g - h)", "           ^   ", "cannot stand here"),
    ("y ~ (1 | interaction(a, ))", "         ^^^^^^^^^^^^^^^^ ", "takes names of columns"),
    ("y ~ dag(x | g)", "    ^^^       ", "Did you mean `diag` or `homdiag`?"),
    ("y ~ us(x || g)", "         ^^   ", "`us(x | g)` or `(x || g)`"),
    ("y ~ x +", "      ^", "There is nothing after `+`"),
    ("y ~ * x", "    ^  ", "There is nothing before `*`"),
    ("y ~ x + * z", "        ^  ", "There is nothing before `*`"),
    ("y ~ x + ()", "        ^^", "nothing in these brackets"),
    ("y ~ x z", "    ^^^", "no operator between `x` and `z`"),
    ("y ~ log (x)", "    ^^^^^  ", "no space between the bracket and `log`"),
    ("y ~ log(x z)", "    ^^^^^^^^", "not a valid Python expression"),
    ("y ~ x & z", "      ^  ", "I(...)"),
    ("y ~ d$x", "     ^ ", "name of the column alone"),
    ("y ~ .", "    ^", "name the columns"),
    ("y ~ 5 + x", "    ^^^^^", "scale other terms"),
    ("y ~ x^y", "     ^^", "`I(x**2)`"),
    ("y ~ (a + b)**20", "           ^^^^", "from 1 to 9"),
    ("y ~ offset(a) * x", "    ^^^^^^^^^    ", "a term of its own"),
    ("y ~ offset(a, b)", "    ^^^^^^^^^^^^", "one expression"),
    ("y | trials(n) ~ x", "  ^              ", "`cbind(successes, failures)`"),
    ("y z ~ x", "^^^    ", "is not one expression"),
    ("cbind(s) ~ x", "^^^^^^^^    ", "two counts"),
    ("y ~ a % b", "^^^^^^^^^", "% signs"),
]


@pytest.mark.parametrize(("text", "carets", "remedy"), SLIPS)
def test_the_caret_stands_under_the_slip(text, carets, remedy):
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert remedy in lines[0]
    assert lines[0].endswith((".", "?"))
    assert lines[1] == "    " + text
    assert lines[2].rstrip() == "    " + carets.rstrip()


def test_line_ends_do_not_move_the_caret():
    with pytest.raises(FormulaError) as caught:
        parse_formula("y ~ x +\n  z w")
    line, carets = str(caught.value).splitlines()[1:]
    assert line[carets.index("^") :] == "z w"


def test_a_one_sided_formula_takes_no_response():
    with pytest.raises(FormulaError, match="begin it with `~`"):
        parse_predictor("y ~ x")
    with pytest.raises(FormulaError, match="no `~`"):
        parse_predictor("x")


def test_formula_errors_are_value_errors_and_survive_pickling():
    with pytest.raises(ValueError, match="no `~`") as caught:
        parse_formula("y")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_random_term_stands_once():
    with pytest.raises(FormulaError, match="stands twice") as error:
        parse_formula("y ~ x + (1 | g) + (1|g)")
    assert str(error.value).splitlines()[-1].count("^") == len("(1|g)")
