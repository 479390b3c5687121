#include "sampling_exports.h"

#include <exception>

#include "isa/path.h"
#include "likeliest/likeliest.h"
#include "parallel/serial_pool.h"
#include "sampling/draw.h"

int64_t nanoaccel_draw(const float* logits, int64_t width, int64_t likeliest, double scale,
                       int64_t top_k, double top_p, double min_p, double uniform) {
  static const nanoaccel::Path* const path = nanoaccel::chosen_path();
  if (path == nullptr || width < 1) return -1;
  try {
    if (likeliest < 0) {
      nanoaccel::SerialPool pool;
      nanoaccel::find_likeliest(logits, 1, width, pool, 1, &likeliest);
    }
    const nanoaccel::DrawSettings settings = {static_cast<float>(scale), top_k, top_p, min_p};
    return nanoaccel::draw(logits, width, likeliest, settings, uniform, path->sampling);
  } catch (const std::exception&) {  // no memory
    return -1;
  }
}
