/** What `/v1/engine` says, as a table: the machine, and the models on it. */

import { h } from "./dom.js";
import { bytes } from "./figures.js";

/**
 * @param {object} facts
 * @returns {Node[]} A heading and a table for the machine, and for each model.
 */
export function machineView({ version, machine, models }) {
  return [
    ...section("Machine", [...machineRows(machine), ["NanoAccel", version]]),
    ...models.flatMap((model) => section(model.id, modelRows(model))),
  ];
}

function machineRows(machine) {
  const limits = machine.cpu_quota === null ? "" : `, time of ${machine.cpu_quota}`;
  const limit = machine.memory_limit === null ? "" : ` of ${bytes(machine.memory_limit)} allowed`;
  return [
    ["CPU", machine.cpu],
    ["Cores", `${machine.cores} in ${counted(machine.sockets, "socket")}, ${machine.cpus} CPUs`],
    ["Allowed", `${counted(machine.allowed_cpus, "CPU")}${limits}`],
    ["Instructions", machine.instructions.join(" ") || "none of interest"],
    ["NUMA nodes", machine.numa_nodes],
    ["Memory", `${bytes(machine.free_memory)} free${limit}`],
    ["System", `${machine.system}, ${machine.architecture}`],
  ];
}

function modelRows({ source, parameters, recipe, memory, engine }) {
  const rows = [["Memory", `${bytes(memory)}${engine ? "" : ", not loaded"}`]];
  if (source) rows.push(["Source", source]);
  if (parameters) rows.push(["Parameters", parameters.toLocaleString("en")]);
  if (recipe) rows.push(["Recipe", words(recipe)]);
  if (!engine) return rows;
  return [
    ...rows,
    ["Backend", `${engine.backend}: ${engine.device}`],
    ["Threads", `${engine.threads} in ${counted(engine.engines, "engine")}`],
    ["Cache", engine.cache_precision],
    ["Context", `${engine.context_length.toLocaleString("en")} tokens`],
  ];
}

function words(recipe) {
  const shown = Object.entries(recipe).filter(([, value]) => value !== null);
  return shown
    .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join(", ");
}

function counted(count, name) {
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

function section(title, rows) {
  return [
    h("h2", {}, title),
    h(
      "table",
      { class: "facts" },
      h(
        "tbody",
        {},
        ...rows.map(([name, value]) =>
          h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, String(value))),
        ),
      ),
    ),
  ];
}
