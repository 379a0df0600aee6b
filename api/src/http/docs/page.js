// Shows the OpenAPI document. Everything in it is put into the page as text, never as markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  for (const part of [content].flat()) {
    if (part !== undefined && part !== null) made.append(part);
  }
  return made;
}

function resolved(api, schema) {
  const reference = schema?.$ref;
  if (!reference) return schema ?? {};
  return reference.split("/").slice(1).reduce((at, key) => at?.[key], api) ?? {};
}

// A schema in one line.
function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const several = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (several) return several.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array" || schema.items) return `list of ${typeOf(schema.items) || "any"}`;
  return [schema.type ?? "any"].flat().join(" or ");
}

function table(rows) {
  if (rows.length === 0) return null;
  return element("table", rows.map((cells) => element("tr", cells.map((cell) => element("td", cell)))));
}

function fields(api, schema) {
  const { properties = {}, required = [] } = resolved(api, schema);
  return table(Object.entries(properties).map(([name, field]) => [
    element("code", required.includes(name) ? `${name} *` : name),
    typeOf(field),
    field.description ?? "",
  ]));
}

function body(api, content = {}) {
  return Object.entries(content).flatMap(([type, { schema } = {}]) => [
    element("p", [element("code", type), schema?.$ref ? ` ${typeOf(schema)}` : ""]),
    fields(api, schema),
  ]);
}

function operation(api, path, method, described) {
  const parameters = (described.parameters ?? []).map((parameter) => [
    element("code", parameter.required ? `${parameter.name} *` : parameter.name),
    `${parameter.in}, ${typeOf(parameter.schema)}`,
    parameter.description ?? "",
  ]);
  const responses = Object.entries(described.responses ?? {}).map(([status, response]) => [
    element("code", status),
    Object.values(response.content ?? {}).map(({ schema }) => typeOf(schema)).join(", "),
    response.description ?? "",
  ]);
  const asked = body(api, described.requestBody?.content);
  return element("details", [
    element("summary", [
      element("span", method, { class: "method" }),
      element("code", path),
      ` ${described.summary ?? ""}`,
    ]),
    element("p", described.description ?? ""),
    parameters.length ? element("h3", "Parameters") : null,
    table(parameters),
    asked.length ? element("h3", "Body") : null,
    ...asked,
    element("h3", "Responses"),
    table(responses),
  ]);
}

function show(api) {
  document.getElementById("about").textContent = `${api.info.version}. ${api.info.description ?? ""}`;
  const routes = document.getElementById("routes");
  const groups = new Map((api.tags ?? []).map((tag) => [tag.name, { about: tag.description, operations: [] }]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((method) => item[method])) {
      const group = item[method].tags?.[0] ?? "other";
      if (!groups.has(group)) groups.set(group, { operations: [] });
      groups.get(group).operations.push(operation(api, path, method, item[method]));
    }
  }
  const sections = [...groups].map(([name, { about, operations }]) =>
    element("section", [element("h2", name), element("p", about ?? ""), ...operations]));
  const schemas = Object.entries(api.components?.schemas ?? {}).map(([name, schema]) =>
    element("details", [
      element("summary", element("code", name)),
      element("p", schema.description ?? ""),
      fields(api, schema) ?? element("p", typeOf(schema)),
    ]));
  routes.replaceChildren(...sections, element("section", [element("h2", "types"), ...schemas]));
  routes.setAttribute("aria-busy", "false");
}

fetch("/openapi.json")
  .then((response) => (response.ok ? response.json() : Promise.reject(new Error(`status ${response.status}`))))
  .then(show)
  .catch((error) => {
    const said = element("p", `openapi.json cannot be shown: ${error.message}`, { class: "error" });
    document.getElementById("routes").replaceChildren(said);
  });
