// Mixed precision in bfloat16. tch's `autocast` only supports float16.

#include "bridge.h"

#include <ATen/autocast_mode.h>

namespace {

at::DeviceType type_of(bool cuda) { return cuda ? at::kCUDA : at::kCPU; }

}  // namespace

extern "C" {

bool fm_is_autocast(bool cuda) { return at::autocast::is_autocast_enabled(type_of(cuda)); }

// On this thread, until `fm_leave_autocast`.
char *fm_enter_autocast(bool cuda) {
  return protect([&] {
    at::autocast::set_autocast_dtype(type_of(cuda), at::kBFloat16);
    at::autocast::set_autocast_enabled(type_of(cuda), true);
    at::autocast::increment_nesting();
  });
}

// Also clears the cache of converted parameters, which will have changed by the next call.
char *fm_leave_autocast(bool cuda) {
  return protect([&] {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(type_of(cuda), false);
  });
}
}
