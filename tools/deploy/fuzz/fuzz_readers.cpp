// Reads hostile files with the readers of tools/deploy, for the sanitizers to watch.
// tools/fuzz_deploy.py builds and runs it:
//
//   fuzz_readers FORMAT CASES SEED CRASH SEED_FILE...
//
// FORMAT is model, graph, parameters, ppm, jpeg, png, options or names. The first cases are the
// seed files. Each other case is one of them with a few mutations, and follows from SEED and its
// number. A reader may accept it or throw Error. Anything else ends the process, and so does a case
// of 5 seconds; the case is then in the file CRASH. The program prints the numbers of cases that
// were accepted and refused.
//
// Compiled with DETKIT_LIBFUZZER, it is a target of libFuzzer instead, with FORMAT in the variable
// DETKIT_FUZZ_FORMAT.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "graph.hpp"
#include "image_file.hpp"
#include "json.hpp"
#include "model.hpp"
#include "mutator.hpp"
#include "options.hpp"
#include "parameters.hpp"

namespace {

using detkit::Bytes;

constexpr size_t kMostOutputs = 4;
constexpr size_t kMostPixels = size_t(1) << 20;  // so that a case is soon over
const std::vector<std::string> kInputs = {"images", "sizes"};

void read_graph(const Bytes& bytes) {
  // The number of outputs is model.json's: each is tried, so that graphs of every kind are
  // accepted.
  for (size_t outputs = 3; outputs <= kMostOutputs; ++outputs) {
    std::map<std::string, detkit::Variable> variables;
    try {
      variables = detkit::check_graph(bytes, outputs, true);
    } catch (const detkit::Error&) {
      if (outputs == kMostOutputs) throw;
      continue;
    }
    try {
      detkit::check_variables(variables, kInputs, {});
    } catch (const detkit::Error&) {  // there are no parameters, and the message says so
    }
    return;
  }
}

void read_image(const Bytes& bytes) { detkit::decode_picture("image", bytes, kMostPixels); }

// Reads a PNG as it is, and with the right checksums, without which libpng refuses a chunk.
void read_png(const Bytes& bytes) {
  try {
    read_image(bytes);
  } catch (const detkit::Error&) {
    read_image(detkit::with_checksums(bytes));
  }
}

void read_options(const Bytes& bytes) {
  std::vector<std::string> words(1);
  for (const char byte : bytes) {
    if (byte == '\n') {
      words.emplace_back();
    } else {
      words.back() += byte;
    }
  }
  detkit::parse_options(words);
}

// Any bytes may be the name of a file, and what becomes of them has to be JSON.
void write_name(const Bytes& bytes) {
  try {
    detkit::Json::parse(detkit::quoted(bytes));
  } catch (const detkit::Error&) {
    std::fputs("a name was written that is no JSON\n", stderr);
    std::abort();
  }
}

using Read = std::function<void(const Bytes&)>;

Read reader_of(const std::string& format) {
  const std::map<std::string, Read> readers = {
      {"model", [](const Bytes& bytes) { detkit::parse_model("folder", bytes); }},
      {"graph", read_graph},
      {"parameters", [](const Bytes& bytes) { detkit::read_parameters(bytes); }},
      {"ppm", read_image},
      {"jpeg", read_image},
      {"png", read_png},
      {"options", read_options},
      {"names", write_name}};
  const auto found = readers.find(format);
  if (found == readers.end()) {
    std::fprintf(stderr, "expected a format, found '%s'\n", format.c_str());
    std::exit(2);
  }
  return found->second;
}

}  // namespace

#ifdef DETKIT_LIBFUZZER

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const char* format = std::getenv("DETKIT_FUZZ_FORMAT");
  static const Read read = reader_of(format ? format : "");
  try {
    read(Bytes(reinterpret_cast<const char*>(data), size));
  } catch (const detkit::Error&) {
  }
  return 0;
}

#else

extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*)(void));

namespace {

constexpr unsigned kSeconds = 5;

const Bytes* current = nullptr;  // the case, for the file CRASH
const char* crash_path = nullptr;

void keep_case() {
  if (!current) return;
  if (std::FILE* file = std::fopen(crash_path, "wb")) {
    std::fwrite(current->data(), 1, current->size(), file);
    std::fclose(file);
  }
  current = nullptr;
}

void on_alarm(int) {
  keep_case();
  std::fprintf(stderr, "a case took more than %u s\n", kSeconds);
  _exit(1);
}

}  // namespace

int main(int count, char** words) {
  if (count < 6) {
    std::fputs("expected FORMAT CASES SEED CRASH SEED_FILE...\n", stderr);
    return 2;
  }
  const Read read = reader_of(words[1]);
  std::vector<Bytes> seeds;
  for (int i = 5; i < count; ++i) {
    std::ifstream file(words[i], std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  crash_path = words[4];
  std::signal(SIGALRM, on_alarm);
  if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(keep_case);
  std::signal(SIGABRT, [](int) { keep_case(); });
  detkit::Mutator mutator(std::move(seeds), std::strtoull(words[3], nullptr, 10));
  unsigned long long accepted = 0, refused = 0;
  const unsigned long long cases = std::strtoull(words[2], nullptr, 10);
  for (unsigned long long number = 0; number < cases; ++number) {
    const Bytes bytes = mutator.make(number);
    current = &bytes;
    alarm(kSeconds);
    try {
      read(bytes);
      ++accepted;
    } catch (const detkit::Error&) {
      ++refused;
    }
    alarm(0);
    current = nullptr;
  }
  std::printf("%llu %llu\n", accepted, refused);
}

#endif
