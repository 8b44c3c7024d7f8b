"use strict";

// Where gateway and query service share a port, openapi.json tells of both. Behind a router it is
// the query service's alone, and each has its own under its prefix.
const OF_ALL = "openapi.json";
const OF_EACH = ["ingest/openapi.json", "query/openapi.json"];

async function ask(url) {
  try {
    const answer = await fetch(url);
    return answer.ok ? { url, content: await answer.json() } : null;
  } catch {
    return null;
  }
}

function tellsOf(found, url) {
  return Object.hasOwn(found.content.paths ?? {}, `/${url}`);
}

async function findDocuments() {
  const all = await ask(OF_ALL);
  if (all && OF_EACH.every((url) => tellsOf(all, url))) {
    return [all];
  }
  const each = (await Promise.all(OF_EACH.map(ask))).filter(Boolean);
  return each.length ? each : [all].filter(Boolean);
}

function show(found) {
  window.SwaggerUIBundle({
    url: found.url,
    dom_id: "#ui",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
  });
}

function offer(documents) {
  const select = document.getElementById("documents");
  for (const [index, found] of documents.entries()) {
    select.append(new Option(found.content.info.title, index));
  }
  select.addEventListener("change", () => show(documents[select.value]));
  document.getElementById("choice").hidden = documents.length < 2;
}

function followTheSystemsColours() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", apply);
  apply();
}

followTheSystemsColours();
findDocuments().then((documents) => {
  if (!documents.length) {
    document.getElementById("ui").textContent = "No OpenAPI document answers; try again.";
    return;
  }
  offer(documents);
  show(documents[0]);
});
