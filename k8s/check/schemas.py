"""What Kubernetes, KEDA and the Prometheus operator accept, taken strictly: an unknown field is an error."""

import functools
import pathlib

import jsonschema
import kubernetes_validate
import yaml
from kubernetes_validate import utils

# All releases from the oldest that KEDA 2.21 runs on to the newest known.
KUBERNETES = ("1.32", "1.33", "1.34", "1.35", "1.36", "1.37")

# It reads some megabytes of JSON for each manifest, or once.
utils.schema_contents = functools.cache(utils.schema_contents)


class Schemas:
    """The schemas of Kubernetes, and of the custom resources in a folder of definitions."""

    def __init__(self, definitions: pathlib.Path):
        self._custom = {}
        for path in sorted(definitions.glob("*.yaml")):
            definition = yaml.safe_load(path.read_text())["spec"]
            for version in definition["versions"]:
                api = f"{definition['group']}/{version['name']}"
                schema = strict(version["schema"]["openAPIV3Schema"])
                # What every object has, and definitions leave out.
                schema["properties"]["metadata"] = {"type": "object"}
                self._custom[api, definition["names"]["kind"]] = jsonschema.Draft202012Validator(schema)

    def problems(self, manifest: dict):
        """Why a manifest would be refused, if it would."""
        custom = self._custom.get((manifest["apiVersion"], manifest["kind"]))
        if custom:
            for error in custom.iter_errors(manifest):
                yield f"{error.json_path}: {error.message}"
            return
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"Kubernetes {version}: {error.json_path}: {error.message}"
                return
            except kubernetes_validate.SchemaNotFoundError:
                yield f"Kubernetes {version} has no {manifest['kind']} in {manifest['apiVersion']}"
                return


def strict(schema):
    """The JSON schema that an OpenAPI schema of Kubernetes means, in which objects have no fields but those it names."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    # Under `properties`, keys are names of fields and not words of the schema.
    made = {
        word: {name: strict(part) for name, part in value.items()} if word == "properties" else strict(value)
        for word, value in schema.items()
        if word not in ("default", "description", "example")
    }
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if "properties" in schema and "additionalProperties" not in schema:
        made["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
    return made
