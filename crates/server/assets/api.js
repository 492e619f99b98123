// Starts Swagger UI on the page of the API. The description comes from this server; nothing else is loaded.
"use strict";

(() => {
  const page = document.getElementById("api");

  // The address of the server as this browser reaches it. It can differ from the external URL.
  const server = new URL("../..", location.href).href.replace(/\/$/, "");

  // Swagger UI has a dark theme, which follows a class.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", follow);
  follow();

  // Everything that a search looks through, by method and path.
  function texts(description) {
    const schemas = description.components.schemas;
    const found = new Map();

    function fields(schema, seen) {
      if (!schema || typeof schema !== "object") return "";
      const name = typeof schema.$ref === "string" ? schema.$ref.split("/").pop() : null;
      if (name) {
        if (seen.has(name)) return "";
        seen.add(name);
        return fields(schemas[name], seen);
      }
      const own = Object.entries(schema.properties || {});
      const words = own.map(([field, value]) => `${field} ${fields(value, seen)}`);
      for (const part of [...(schema.allOf || []), ...(schema.oneOf || []), schema.items]) words.push(fields(part, seen));
      return words.join(" ");
    }

    for (const [path, item] of Object.entries(description.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        const parameters = (operation.parameters || []).map((one) => `${one.name} ${one.description || ""}`);
        const bodies = Object.values((operation.requestBody || {}).content || {}).slice(0, 1);
        const answers = Object.values((operation.responses["200"] || operation.responses["201"] || {}).content || {});
        const schemas = [...bodies, ...answers.slice(0, 1)].map((one) => fields(one.schema, new Set()));
        const parts = [method, path, operation.tags, operation.operationId, operation.summary, operation.description];
        found.set(`${method} ${path}`, [...parts, ...parameters, ...schemas].join(" ").toLowerCase());
      }
    }
    return found;
  }

  // An operation is found if it has every word of the search. Swagger UI itself looks at tags and paths only.
  function search(found) {
    const has = (words) => (operation) => {
      const text = found.get(`${operation.get("method")} ${operation.get("path")}`) || "";
      return words.every((word) => text.includes(word));
    };
    return (tags, phrase) => {
      const words = phrase.toLowerCase().split(/\s+/).filter(Boolean);
      return tags
        .map((tag) => tag.set("operations", tag.get("operations").filter(has(words))))
        .filter((tag) => tag.get("operations").size > 0);
    };
  }

  // The fields of a request's body stand below its example instead of on a second tab.
  function withFields(Original, system) {
    return (props) => {
      const example = system.React.createElement(Original, props);
      if (!props.includeWriteOnly || !props.schema) return example;

      const Fields = props.getComponent("ModelWrapper");
      const fields = system.React.createElement(Fields, {
        schema: props.schema,
        getComponent: props.getComponent,
        getConfigs: props.getConfigs,
        specSelectors: props.specSelectors,
        specPath: props.specPath,
        fullPath: props.specPath.toJS().concat("fields"),
        expandDepth: 3,
        includeWriteOnly: true,
      });
      return system.React.createElement("div", null, example, fields);
    };
  }

  // Swagger UI does not show the commands of the description, so they become a part of its texts.
  function addCommands(description) {
    for (const item of Object.values(description.paths)) {
      for (const operation of Object.values(item)) {
        const sample = (operation["x-codeSamples"] || [])[0];
        if (!sample) continue;
        const text = operation.description ? `${operation.description}\n\n` : "";
        operation.description = `${text}\`\`\`sh\n${sample.source}\n\`\`\``;
      }
    }
  }

  // Names the field of the search as soon as Swagger UI has made it.
  function label() {
    const field = page.querySelector(".operation-filter-input");
    if (!field) return requestAnimationFrame(label);
    field.placeholder = "Search operations, parameters and fields ( / )";
    field.setAttribute("aria-label", "Search operations, parameters and fields");
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, textarea, select");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      field.focus();
    });
  }

  async function start() {
    const answer = await fetch(page.dataset.description);
    if (!answer.ok) throw new Error(`${page.dataset.description}: ${answer.status}`);
    const description = await answer.json();
    const found = texts(description);
    description.servers = [{ url: server }];
    addCommands(description);

    SwaggerUIBundle({
      spec: description,
      domNode: page,
      deepLinking: true,
      filter: true,
      docExpansion: "list",
      displayRequestDuration: true,
      defaultModelExpandDepth: 3,
      defaultModelsExpandDepth: 0,
      validatorUrl: null,
      plugins: [() => ({ fn: { opsFilter: search(found) }, wrapComponents: { modelExample: withFields } })],
      onComplete: label,
    });
  }

  start().catch((error) => {
    page.textContent = `The description could not be shown: ${error.message}`;
  });
})();
