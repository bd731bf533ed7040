// Scores the rows of CSV files with an exported model: score MODEL.pt ROWS.csv ...
// Prints one score per line. Cells are separated by commas; quoted cells are an error.

// To load a module and to call it. <torch/script.h> has everything, and takes twice as long to compile.
#include <torch/csrc/jit/serialization/import.h>

#include <fstream>
#include <iostream>
#include <sstream>

using Row = c10::Dict<std::string, std::string>;

std::vector<std::string> split(std::string line) {
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (line.find('"') != std::string::npos) throw std::runtime_error("this example does not read quoted cells");
  std::istringstream stream(line + ",");
  std::vector<std::string> cells;
  for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
  return cells;
}

c10::List<Row> read(const std::string &path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) throw std::runtime_error("cannot read " + path);
  if (line.rfind("\xEF\xBB\xBF", 0) == 0) line.erase(0, 3);  // the byte order mark of some programs
  auto names = split(line);
  c10::List<Row> rows;
  while (std::getline(file, line)) {
    auto cells = split(line);
    if (cells.size() != names.size()) throw std::runtime_error(path + ": a row and the header differ in length");
    Row row;
    for (size_t i = 0; i < names.size(); ++i) row.insert(names[i], cells[i]);
    rows.push_back(row);
  }
  return rows;
}

int main(int argc, char **argv) try {
  if (argc < 3) throw std::runtime_error("usage: score MODEL.pt ROWS.csv ...");
  c10::InferenceMode no_gradients;
  auto model = torch::jit::load(argv[1], c10::kCPU);
  std::cout.precision(9);  // enough to distinguish any two float32
  for (int file = 2; file < argc; ++file) {
    auto scores = model.run_method("score", read(argv[file])).toTensor();
    for (int64_t row = 0; row < scores.size(0); ++row) std::cout << scores[row].item<float>() << '\n';
  }
} catch (const c10::Error &error) {
  // Only the first line: the others show where libtorch raised it.
  std::string text = error.what_without_backtrace();
  std::cerr << "error: " << text.substr(0, text.find('\n')) << '\n';
  return 1;
} catch (const std::exception &error) {
  // Only the last line: the others show where TorchScript raised it.
  std::string text = error.what();
  text.erase(text.find_last_not_of('\n') + 1);
  std::cerr << "error: " << text.substr(text.rfind('\n') + 1) << '\n';
  return 1;
}
