// Reads hostile files with the readers of tools/deploy, for the sanitizers to watch.
// tools/fuzz_deploy.py builds and runs it:
//
//   fuzz_readers FORMAT CASES SEED CRASH SEED_FILE...
//
// FORMAT is model, graph, parameters, ppm, options or names. The first cases are the seed files.
// Each other case is one of them with a few mutations, and follows from SEED and its number. A
// reader may accept it or throw Error. Anything else ends the process, and so does a case of 5
// seconds; the case is then in the file CRASH. The program prints the numbers of cases that were
// accepted and refused.
//
// Compiled with DETKIT_LIBFUZZER, it is a target of libFuzzer instead, with FORMAT in the variable
// DETKIT_FUZZ_FORMAT.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "graph.hpp"
#include "image_file.hpp"
#include "json.hpp"
#include "model.hpp"
#include "options.hpp"
#include "parameters.hpp"

namespace {

using Bytes = std::string;

constexpr size_t kMostOutputs = 4;
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
      {"ppm", [](const Bytes& bytes) { detkit::decode_picture("image", bytes); }},
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
const std::vector<Bytes> kWords = {
    "0",
    "-1",
    "1e999",
    "1.5",
    "2147483648",
    "4294967296",
    "18446744073709551616",
    "-5",
    "null",
    "true",
    "[]",
    "{}",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\\ud800",
    "\\",
    "\xff",
    "\xed\xa0\x80",
    "\xf4\x90\x80\x80",
    "\n",
    "#",
    "P6",
    "65536",
    "(0, 0)",
    "(-1,)",
    "null\"",
    "_Native",
    "--threads",
    "nan",
    "1e30",
    "--",
    "\x12\x01",
    "Convolution",
    "__shape__",
    "../",
};

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

class Mutator {
 public:
  Mutator(std::vector<Bytes> seeds, uint64_t seed) : seeds_(std::move(seeds)), seed_(seed) {}

  Bytes make(uint64_t number) {
    if (number < seeds_.size()) return seeds_[size_t(number)];
    random_.seed(seed_ * 0x9e3779b97f4a7c15u + number);
    Bytes out = seeds_[below(seeds_.size())];
    for (size_t left = size_t(1) << below(4); left > 0; --left) mutate(&out);
    return out;
  }

 private:
  size_t below(size_t limit) { return limit == 0 ? 0 : size_t(random_() % limit); }

  void mutate(Bytes* bytes) {
    const size_t at = below(bytes->size() + 1), length = 1 + below(size_t(1) << below(8));
    switch (below(9)) {
      case 0:
        if (at < bytes->size()) (*bytes)[at] = char((*bytes)[at] ^ (1 << below(8)));
        break;
      case 1:
        if (at < bytes->size()) (*bytes)[at] = char(below(256));
        break;
      case 2:
        bytes->erase(at, length);
        break;
      case 3:
        bytes->insert(at, bytes->substr(below(bytes->size() + 1), length));
        break;
      case 4:
        bytes->insert(at, kWords[below(kWords.size())]);
        break;
      case 5:
        put_number(bytes, at);
        break;
      case 6:
        replace_token(bytes, at);
        break;
      case 7:
        splice(bytes, at);
        break;
      default:
        if (below(8) == 0) bytes->resize(at);
    }
  }

  // Overwrites a binary number of 1, 2, 4 or 8 bytes.
  void put_number(Bytes* bytes, size_t at) {
    const uint64_t numbers[] = {0,          1,          0x7f,       0xff,
                                0x80000000, 0xffffffff, 0x7fffffff, ~0ull,
                                1ull << 62, 1ull << 40, random_(),  bytes->size()};
    const uint64_t number = numbers[below(std::size(numbers))];
    const size_t size = size_t(1) << below(4);
    for (size_t i = 0; i < size && at + i < bytes->size(); ++i) {
      (*bytes)[at + i] = char(number >> (8 * i));
    }
  }

  // Replaces the number or word at a place.
  void replace_token(Bytes* bytes, size_t at) {
    const auto is_token = [](char c) { return std::isalnum(uint8_t(c)) || c == '-' || c == '.'; };
    while (at < bytes->size() && !is_token((*bytes)[at])) ++at;
    size_t end = at;
    while (end < bytes->size() && is_token((*bytes)[end])) ++end;
    bytes->replace(at, end - at, kWords[below(kWords.size())]);
  }

  void splice(Bytes* bytes, size_t at) {
    const Bytes& other = seeds_[below(seeds_.size())];
    bytes->replace(at, Bytes::npos, other, std::min(at, other.size()), Bytes::npos);
    bytes->resize(std::min<size_t>(bytes->size(), 1 << 20));
  }

  std::vector<Bytes> seeds_;
  uint64_t seed_;
  std::mt19937_64 random_;
};

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
  Mutator mutator(std::move(seeds), std::strtoull(words[3], nullptr, 10));
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
