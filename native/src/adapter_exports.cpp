#include "adapter_exports.h"

#include <cstdio>
#include <exception>
#include <stdexcept>

#include "low_rank/table.h"

namespace {

using nanoaccel::AdapterTable;

nanoaccel::UpdateSource read(const NanoaccelUpdate& given) {
  nanoaccel::UpdateSource source;
  source.matrix = given.matrix;
  source.inputs = given.inputs;
  source.outputs = given.outputs;
  source.gated = given.gated != 0;
  source.format = static_cast<nanoaccel::UpdateFormat>(given.format);
  for (int64_t i = 0; i < given.parts_size; ++i) {
    const NanoaccelUpdatePart& part = given.parts[i];
    source.parts.push_back({part.begin, part.outputs, part.rank, part.down, part.up});
  }
  return source;
}

// Does something to a table; false, and why in ``problem``, where that throws.
template <class Function>
int with_table(int64_t number, char* problem, int64_t problem_size, Function function) {
  try {
    const std::shared_ptr<AdapterTable> table = AdapterTable::find(number);
    if (table == nullptr) throw std::invalid_argument("there is no such table of adapters");
    function(*table);
    return 1;
  } catch (const std::exception& error) {
    std::snprintf(problem, static_cast<size_t>(problem_size), "%s", error.what());
    return 0;
  }
}

}  // namespace

int64_t nanoaccel_adapters_create() { return AdapterTable::create(); }

void nanoaccel_adapters_free(int64_t table) { AdapterTable::forget(table); }

int nanoaccel_adapters_load(int64_t table, int64_t slot, const NanoaccelUpdate* updates,
                            int64_t count, char* problem, int64_t problem_size) {
  return with_table(table, problem, problem_size, [&](AdapterTable& found) {
    std::vector<nanoaccel::UpdateSource> sources;
    for (int64_t i = 0; i < count; ++i) sources.push_back(read(updates[i]));
    found.load(slot, std::make_shared<const nanoaccel::Adapter>(sources));
  });
}

int nanoaccel_adapters_unload(int64_t table, int64_t slot, char* problem, int64_t problem_size) {
  return with_table(table, problem, problem_size, [&](AdapterTable& found) { found.unload(slot); });
}
