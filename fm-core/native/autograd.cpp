// A node of autograd's graph whose backward pass is a Rust function.

#include "bridge.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/autograd/variable.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using torch::autograd::variable_list;

// Computes the gradients of the inputs from those of the outputs. A null gradient is zero. Each result is null, for
// zero, or a new `at::Tensor *`. Returns null on success, otherwise an error text from `malloc`.
using Call = char *(*)(void *context, const at::Tensor *const *gradients, size_t n_results, at::Tensor **results);
using Drop = void (*)(void *context);

class RustFunction : public torch::autograd::Node {
 public:
  RustFunction(void *context, Call call, Drop drop) : context_(context), call_(call), drop_(drop) {}

  ~RustFunction() override { release(); }

  std::string name() const override { return "RustFunction"; }

  // After a backward pass that does not retain the graph.
  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    release();
  }

  variable_list apply(variable_list &&gradients) override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!context_) throw std::runtime_error("backward through a graph that the first backward pass has freed");
    if (at::GradMode::is_enabled()) throw std::runtime_error("this function has no second derivative");
    std::vector<const at::Tensor *> given;
    for (auto &gradient : gradients) given.push_back(gradient.defined() ? &gradient : nullptr);
    std::vector<at::Tensor *> results(num_outputs(), nullptr);
    std::unique_ptr<char, decltype(&std::free)> error(call_(context_, given.data(), results.size(), results.data()),
                                                      &std::free);
    if (error) throw std::runtime_error(error.get());
    variable_list found(results.size());
    for (size_t i = 0; i < results.size(); ++i) {
      if (!results[i]) continue;
      found[i] = std::move(*results[i]);
      delete results[i];
    }
    return found;
  }

 private:
  void release() {
    if (context_) drop_(context_);
    context_ = nullptr;
  }

  void *context_;
  Call call_;
  Drop drop_;
};

}  // namespace

extern "C" {

// Makes `outputs` the results of a function of `inputs` whose backward pass is `call`. Always takes ownership of
// `context`: `drop` is called exactly once, immediately if no gradient can reach an input.
char *fm_autograd_attach(const at::Tensor *const *inputs, size_t n_inputs, const at::Tensor *const *outputs,
                         size_t n_outputs, void *context, Call call, Drop drop) {
  return protect([&] {
    std::shared_ptr<RustFunction> node(new RustFunction(context, call, drop), torch::autograd::deleteNode);
    variable_list from;
    for (size_t i = 0; i < n_inputs; ++i) from.push_back(*inputs[i]);
    if (!torch::autograd::compute_requires_grad(at::TensorList(from))) return;
    node->set_next_edges(torch::autograd::collect_next_edges(from));
    for (size_t i = 0; i < n_outputs; ++i) {
      TORCH_CHECK(!outputs[i]->requires_grad(), "output ", i, " belongs to another graph");
    }
    for (size_t i = 0; i < n_outputs; ++i) torch::autograd::set_history(*outputs[i], node);
  });
}

}  // extern "C"
