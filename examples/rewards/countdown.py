#!/usr/bin/env python3
"""A reward for Countdown: is the last <answer> an expression over the given numbers, each used once,
with the target's value?

Columns of a row: "numbers", a list of whole numbers, and "target". 1 for a right answer, 0.1 for an
answer that is not right, 0 for none. Rows without these columns are an error, not a zero.
"""

import ast
import json
import operator
import re
import sys
from fractions import Fraction

OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
# Expressions are a model's: long ones could exhaust the parser's stack.
LONGEST = 200


def evaluate(node, used):
    """The exact value of an expression of whole numbers and + - * /, whose numbers join `used`."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        left, right = evaluate(node.left, used), evaluate(node.right, used)
        return OPERATIONS[type(node.op)](left, right)
    if isinstance(node, ast.Constant) and type(node.value) is int:
        used.append(node.value)
        return Fraction(node.value)
    raise ValueError("not an expression of whole numbers and + - * /")


def reward(item):
    numbers, target = item["columns"]["numbers"], item["columns"]["target"]
    answers = re.findall(r"<answer>(.*?)</answer>", item["completion"], re.DOTALL)
    if not answers:
        return 0.0
    expression, used = answers[-1].strip(), []
    if len(expression) > LONGEST:
        return 0.1
    try:
        value = evaluate(ast.parse(expression, mode="eval").body, used)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return 0.1
    return 1.0 if value == target and sorted(used) == sorted(numbers) else 0.1


def entry(item):
    try:
        return {"id": item["id"], "reward": reward(item)}
    except Exception as error:
        return {"id": item["id"], "error": f"{type(error).__name__}: {error}"}


# Messages go to stderr: stdout is for answers, one line a batch.
print("countdown reward: ready", file=sys.stderr)
for line in sys.stdin:
    request = json.loads(line)
    rewards = [entry(item) for item in request["items"]]
    print(json.dumps({"batch": request["batch"], "rewards": rewards}), flush=True)
