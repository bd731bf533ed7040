// Process groups of c10d, as torch.distributed has them: processes meet at a TCPStore and exchange tensors by gloo.

#define USE_C10D_GLOO

#include "bridge.h"

#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstdlib>
#include <string>
#include <vector>

namespace {

using Backend = c10::intrusive_ptr<c10d::Backend>;

c10d::Backend &backend_of(void *group) { return **static_cast<Backend *>(group); }

at::Tensor &tensor_of(void *tensor) { return *static_cast<at::Tensor *>(tensor); }

}  // namespace

extern "C" {

// Waits until `size` processes have met at the store of `host`. `serves` says that this process is the store's server.
// `interface` is the network interface of the tensors; empty for that of the host's name.
char *fm_group_new(const char *host, uint16_t port, int rank, int size, bool serves, const char *prefix,
                   int64_t timeout_ms, const char *interface, void **group) {
  return protect([&] {
    // An error is reported by its exception; the log would print thirty lines more.
    setenv("TORCH_CPP_LOG_LEVEL", "FATAL", 0);
    c10::initLogging();
    std::chrono::milliseconds timeout(timeout_ms);
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serves;
    options.numWorkers = size;
    options.waitWorkers = true;
    options.timeout = timeout;
    auto store = c10::make_intrusive<c10d::PrefixStore>(prefix, c10::make_intrusive<c10d::TCPStore>(host, options));
    auto gloo = c10d::ProcessGroupGloo::Options::create(timeout);
    gloo->devices.push_back(*interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                       : c10d::ProcessGroupGloo::createDefaultDevice());
    gloo->threads = 2;
    *group = new Backend(c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, gloo));
  });
}

void fm_group_free(void *group) { delete static_cast<Backend *>(group); }

// Sums a tensor over all processes, in place.
char *fm_group_sum(void *group, void *tensor) {
  return protect([&] {
    std::vector<at::Tensor> tensors{tensor_of(tensor)};
    backend_of(group).allreduce(tensors, {})->wait();
  });
}

// Sends consecutive elements of `input` to the processes, in the order of their ranks, and receives theirs into `output`.
// The counts of all processes must agree: otherwise, gloo ends the process.
char *fm_group_exchange(void *group, void *output, void *input, const int64_t *output_counts,
                        const int64_t *input_counts) {
  return protect([&] {
    auto size = backend_of(group).getSize();
    std::vector<int64_t> outputs(output_counts, output_counts + size), inputs(input_counts, input_counts + size);
    backend_of(group).alltoall_base(tensor_of(output), tensor_of(input), outputs, inputs)->wait();
  });
}

// Copies the tensor of rank 0 into those of all others.
char *fm_group_broadcast(void *group, void *tensor) {
  return protect([&] {
    std::vector<at::Tensor> tensors{tensor_of(tensor)};
    backend_of(group).broadcast(tensors, {})->wait();
  });
}

}  // extern "C"
