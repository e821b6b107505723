"""Reads docs/reference/openapi.yaml, and holds answers of the broker to it.

python document.py read DOCUMENT             prints it as JSON, once it and its examples are known to be valid
python document.py check DOCUMENT < ANSWERS  prints what is wrong with each answer, null where nothing is
"""

import json
import sys

import requests
import schemathesis
import yaml
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import validate
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def read(path):
    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    validate(document)
    for place, schema, example in examples(document, "#"):
        whole = {"allOf": [schema], "components": document["components"]}
        for error in OAS31Validator(whole, format_checker=oas31_format_checker).iter_errors(example):
            raise ValueError(f"{place}: {error.json_path}: {error.message}")
    return document


def examples(part, place):
    """Each example with its schema, and where it stands."""
    if isinstance(part, dict):
        if "schema" in part and "example" in part:
            yield place, part["schema"], part["example"]
        for example in part["examples"] if isinstance(part.get("examples"), list) else []:
            yield place, part, example
    children = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, child in children:
        yield from examples(child, f"{place}/{name}")


def check(schema, answer):
    operation = schema.find_operation_by_id(answer["operation"])
    case = operation.Case(path_parameters={parameter.name: "x" for parameter in operation.path_parameters})
    request = requests.Request(operation.method.upper(), answer["url"]).prepare()
    headers = {}
    for name, value in answer["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    response = schemathesis.Response(
        answer["status"], headers, answer["body"].encode(), request, elapsed=0.0, verify=False
    )
    try:
        case.validate_response(response, checks=CHECKS)
    except FailureGroup as group:
        return [f"{failure.title}: {failure.message}" for failure in group.exceptions]
    return None


def main(command, path):
    document = read(path)
    if command == "read":
        return document
    schema = schemathesis.openapi.from_dict(document)
    return [check(schema, answer) for answer in json.load(sys.stdin)]


json.dump(main(*sys.argv[1:]), sys.stdout)
