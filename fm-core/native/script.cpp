// The part of libtorch's TorchScript API that tch lacks: tracing functions into the methods of a module whose parameters
// keep their names, and archives with extra files.

#include "bridge.h"

#include <torch/csrc/jit/frontend/resolver.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/script.h>

#include <string>
#include <vector>

namespace {

using torch::jit::Module;
using torch::jit::Stack;

// The tree of modules for names such as `dnn.linear_0.weight`. TorchScript attributes cannot contain a dot.
struct Tree {
  std::vector<std::pair<std::string, at::Tensor>> parameters;
  std::vector<std::pair<std::string, Tree>> children;

  void insert(const std::string &name, const at::Tensor &tensor) {
    auto dot = name.find('.');
    if (dot == std::string::npos) {
      parameters.emplace_back(name, tensor);
      return;
    }
    auto head = name.substr(0, dot);
    for (auto &child : children) {
      if (child.first == head) return child.second.insert(name.substr(dot + 1), tensor);
    }
    children.emplace_back(head, Tree());
    children.back().second.insert(name.substr(dot + 1), tensor);
  }

  // `count` numbers the classes, because names such as `a.b` and `a_b` would otherwise collide.
  Module build(const std::string &class_name, const std::shared_ptr<torch::jit::CompilationUnit> &unit,
               int &count) const {
    auto type = c10::ClassType::create(class_name, unit, /*is_module=*/true);
    unit->register_type(type);
    Module module(unit, type);
    for (auto &[name, tensor] : parameters) {
      // Tensors without gradients are buffers, such as batch norm's moving statistics.
      module.register_parameter(name, tensor, /*is_buffer=*/!tensor.requires_grad());
    }
    for (auto &[name, child] : children) {
      if (module.hasattr(name)) throw std::runtime_error("`" + name + "` is a parameter, and the prefix of another");
      auto child_name = class_name + "_" + name + "_" + std::to_string(++count);
      module.register_module(name, child.build(child_name, unit, count));
    }
    return module;
  }
};

// A Rust string: UTF-8 bytes that can contain zeros.
struct Text {
  const char *bytes;
  size_t length;

  std::string string() const { return {bytes, length}; }
};

// A context manager without gradients. Python's `torch.no_grad` cannot be named when compiling without Python. Every use has an
// object of its own, because threads share a module, and libtorch also leaves it when an error passes through.
const char *const NO_GRAD = R"(
def __init__(self) -> None:
    self.before = torch.is_grad_enabled()

def __enter__(self) -> None:
    self.before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)

def __exit__(self, type: Any, value: Any, traceback: Any) -> None:
    torch.set_grad_enabled(self.before)
)";

// Resolves `torch` and `NoGrad` in the source of methods.
struct MethodResolver : torch::jit::NativeResolver {
  c10::ClassTypePtr no_grad;

  explicit MethodResolver(const std::shared_ptr<torch::jit::CompilationUnit> &unit) {
    c10::QualifiedName name("__torch__.fm.NoGrad");
    no_grad = unit->get_class(name);
    if (no_grad) return;
    no_grad = c10::ClassType::create(name, unit);
    no_grad->addAttribute("before", c10::BoolType::get());
    unit->register_type(no_grad);
    torch::jit::SimpleSelf self(no_grad);
    unit->define(name, NO_GRAD, torch::jit::nativeResolver(), &self);
  }

  std::shared_ptr<torch::jit::SugaredValue> resolveValue(const std::string &name, torch::jit::GraphFunction &method,
                                                         const torch::jit::SourceRange &place) override {
    if (name == "NoGrad") return std::make_shared<torch::jit::ClassValue>(no_grad);
    return NativeResolver::resolveValue(name, method, place);
  }
};

void set(void *module, const char *name, const c10::TypePtr &type, const c10::IValue &value) {
  static_cast<Module *>(module)->register_attribute(name, type, value);
}

}  // namespace

extern "C" {

void fm_free_error(char *text) { free(text); }

void fm_clear_gradient(void *tensor) { static_cast<at::Tensor *>(tensor)->mutable_grad().reset(); }

// Creates a module with parameters.
char *fm_module_new(const char *class_name, int n_parameters, const char **names, void **tensors, void **module_out) {
  return protect([&] {
    Tree tree;
    for (int i = 0; i < n_parameters; ++i) tree.insert(names[i], *static_cast<at::Tensor *>(tensors[i]));
    int count = 0;
    auto unit = std::make_shared<torch::jit::CompilationUnit>();
    auto module = tree.build(std::string("__torch__.") + class_name, unit, count);
    module.eval();
    *module_out = new Module(module);
  });
}

// Traces `function(context, inputs, output)` into a method. `function` returns false on failure; then there is no method.
// The tracer is closed in any case.
char *fm_module_trace(void *traced_module, const char *method_name, int n_inputs, const char **input_names,
                      void **inputs, bool (*function)(void *, void **, void **), void *context) {
  return protect([&] {
    auto &module = *static_cast<Module *>(traced_module);
    Stack stack;
    std::vector<std::string> arguments(input_names, input_names + n_inputs);
    for (int i = 0; i < n_inputs; ++i) stack.emplace_back(*static_cast<at::Tensor *>(inputs[i]));
    auto traced = torch::jit::tracer::trace(
        stack,
        [&](Stack given) {
          std::vector<at::Tensor> held;
          std::vector<void *> pointers;
          for (auto &value : given) held.push_back(value.toTensor());
          for (auto &tensor : held) pointers.push_back(&tensor);
          void *output = nullptr;
          if (!function(context, pointers.data(), &output)) throw std::runtime_error("the traced function failed");
          std::unique_ptr<at::Tensor> owned(static_cast<at::Tensor *>(output));
          return Stack{*owned};
        },
        [](const at::Tensor &) { return std::string(); }, /*strict=*/true, /*force_outplace=*/false, &module,
        arguments);

    auto name = c10::QualifiedName(*module.type()->name(), method_name);
    auto method = module._ivalue()->compilation_unit()->create_function(name, traced.first->graph);
    module.type()->addMethod(method);
  });
}

// Adds methods from TorchScript source, in which `with NoGrad():` leaves gradients out.
char *fm_module_define(void *module, const char *source) {
  return protect([&] {
    auto target = static_cast<Module *>(module);
    target->define(source, std::make_shared<MethodResolver>(target->_ivalue()->compilation_unit()));
  });
}

// Creates a module with the submodule `model = inner` and methods from TorchScript source.
char *fm_module_wrap(void *inner, const char *class_name, const char *source, void **module_out) {
  return protect([&] {
    auto unit = static_cast<Module *>(inner)->_ivalue()->compilation_unit();
    // Mangled, because a module can be wrapped more than once.
    Module module(c10::QualifiedName(std::string("__torch__.") + class_name), unit, /*shouldMangle=*/true);
    module.register_module("model", *static_cast<Module *>(inner));
    module.define(source);
    module.eval();
    *module_out = new Module(module);
  });
}

char *fm_module_set_buffer(void *module, const char *name, void *tensor) {
  return protect([&] { static_cast<Module *>(module)->register_buffer(name, *static_cast<at::Tensor *>(tensor)); });
}

char *fm_module_set_integers(void *module, const char *name, size_t n, const int64_t *numbers) {
  return protect([&] { set(module, name, c10::ListType::ofInts(), std::vector<int64_t>(numbers, numbers + n)); });
}

char *fm_module_set_floats(void *module, const char *name, size_t n, const double *numbers) {
  return protect([&] { set(module, name, c10::ListType::ofFloats(), std::vector<double>(numbers, numbers + n)); });
}

char *fm_module_set_text(void *module, const char *name, const Text *text) {
  return protect([&] { set(module, name, c10::StringType::get(), text->string()); });
}

char *fm_module_set_texts(void *module, const char *name, size_t n, const Text *texts) {
  return protect([&] {
    c10::List<std::string> list;
    list.reserve(n);
    for (size_t i = 0; i < n; ++i) list.push_back(texts[i].string());
    set(module, name, c10::ListType::ofStrings(), list);
  });
}

// Sets a list of dictionaries. Dictionary d maps the next `lengths[d]` texts to consecutive numbers from `first_numbers[d]`.
char *fm_module_set_indexes(void *module, const char *name, size_t n, const int64_t *first_numbers,
                            const size_t *lengths, const Text *texts) {
  return protect([&] {
    using Index = c10::Dict<std::string, int64_t>;
    c10::List<Index> indexes;
    for (size_t d = 0; d < n; ++d) {
      Index index;
      index.reserve(lengths[d]);
      for (size_t i = 0; i < lengths[d]; ++i, ++texts) index.insert(texts->string(), first_numbers[d] + i);
      indexes.push_back(index);
    }
    auto type = c10::DictType::create(c10::StringType::get(), c10::IntType::get());
    set(module, name, c10::ListType::create(type), indexes);
  });
}

// Runs a method.
char *fm_module_run(void *module, const char *method, int n_inputs, const void *const *inputs, void **output) {
  return protect([&] {
    torch::NoGradGuard no_grad;
    Stack stack;
    for (int i = 0; i < n_inputs; ++i) stack.emplace_back(*static_cast<const at::Tensor *>(inputs[i]));
    *output = new at::Tensor(static_cast<Module *>(module)->get_method(method)(stack).toTensor());
  });
}

void fm_module_free(void *module) { delete static_cast<Module *>(module); }

// Passes the archive to `write(context, bytes, length)` in pieces. `write` must not report failures: libtorch would throw
// from a destructor, which terminates the program.
char *fm_module_save(void *module, int n_files, const char **names, const char **contents, const size_t *lengths,
                     void (*write)(void *, const char *, size_t), void *context) {
  return protect([&] {
    torch::jit::ExtraFilesMap files;
    for (int i = 0; i < n_files; ++i) files[names[i]] = std::string(contents[i], lengths[i]);
    auto writer = [&](const void *bytes, size_t length) {
      write(context, static_cast<const char *>(bytes), length);
      return length;
    };
    torch::jit::ExportModule(*static_cast<Module *>(module), writer, files);
  });
}

}  // extern "C"
