#include "operators.hpp"

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace detkit {
namespace {

constexpr char kTable[] =
#include "operators.inc"
    ;
constexpr long long kLargest = 2147483647;  // in an attribute without limits of its own
constexpr size_t kMostNumbers = 64;         // in one attribute
constexpr size_t kMostDigits = 18;          // with the sign: fits into 64 bits
constexpr int kQuantized = 3;  // outputs of an 8-bit layer: the numbers and their range

std::vector<std::string> words(const std::string& value) {
  std::vector<std::string> out(1);
  for (const char c : value) {
    if (c == '[' || c == ']' || c == '(' || c == ')' || c == ',' || c == ' ') {
      if (!out.back().empty()) out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  if (out.back().empty()) out.pop_back();
  return out;
}

bool is_whole(const std::string& word) {
  const size_t begin = word[0] == '-' ? 1 : 0;
  const size_t end = word.size() > 1 && word.back() == 'L' ? word.size() - 1 : word.size();
  return end > begin && word.find_first_not_of("0123456789", begin) >= end;
}

// Returns the number that a word is, or `other` if it is none or has too many digits.
long long whole(const std::string& word, long long other) {
  const bool right = !word.empty() && is_whole(word) && word.size() <= kMostDigits;
  return right ? std::atoll(word.c_str()) : other;
}

std::string value_of(const Attributes& attributes, const std::string& key) {
  const auto found = attributes.find(key);
  return found == attributes.end() ? "" : found->second;
}

long long input_count(const std::string& word, const Attributes& attributes) {
  if (word == "labelled") return 2 + whole(value_of(attributes, word), 0);
  if (word == "no_bias" || word == "bias") {
    std::string without = value_of(attributes, "no_bias");
    if (without.empty()) without = word == "bias" ? "True" : "False";
    return without == "False" || without == "false" || without == "0" ? 3 : 2;
  }
  if (word == "residual") {
    return input_count("no_bias", attributes) + is_true(value_of(attributes, word));
  }
  if (word == "levels") return 1 + 3 * whole(value_of(attributes, word), 1);
  if (word == "strides") return 1 + (long long)(words(value_of(attributes, word)).size());
  return whole(value_of(attributes, word), 1);
}

// Returns a stream of the text that throws std::bad_alloc where memory is missing, and does not
// end.
std::istringstream stream_of(const std::string& text) {
  std::istringstream stream(text);
  stream.exceptions(std::ios::badbit);
  return stream;
}

Operators read_table() {
  Operators out;
  std::istringstream lines = stream_of(kTable);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream head = stream_of(line.substr(0, line.find(':')));
    std::istringstream names =
        stream_of(line.substr(std::min(line.find(':'), line.size() - 1) + 1));
    std::string kind, first, second;
    head >> kind >> first >> second;
    for (std::string name; names >> name;) {
      if (kind == "operators") out.operators[name] = {first, second};
      if (kind == "limits") out.limits[name] = {std::stoll(first), std::stoll(second)};
      if (kind == "words") out.words[name] = words(first);
    }
  }
  return out;
}

}  // namespace

bool is_true(const std::string& value) {
  return value == "True" || value == "true" || value == "1";
}

std::string Operator::expected_inputs(size_t count, const Attributes& attributes) const {
  const size_t dash = inputs.find('-');
  const bool is_word = whole(inputs.substr(0, dash), -1) < 0;
  const long long least =
      is_word ? input_count(inputs, attributes) : whole(inputs.substr(0, dash), 0);
  const bool is_range = !is_word && dash != std::string::npos;
  const long long most = is_range ? whole(inputs.substr(dash + 1), 0) : least;
  if (least <= (long long)(count) && (long long)(count) <= most) return "";
  return std::to_string(least) + (is_range ? " to " + std::to_string(most) : "");
}

long long Operator::output_count(const Attributes& attributes) const {
  if (outputs == "num_outputs") return whole(value_of(attributes, outputs), 1);
  if (outputs == "ret_typ") {
    const std::string kind = value_of(attributes, outputs);
    return kind == "both" || kind == "value" ? 2 : 1;
  }
  if (outputs == "quantized") {
    const bool eight_bits = is_true(value_of(attributes, outputs));
    return eight_bits && !is_true(value_of(attributes, "enable_float_output")) ? kQuantized : 1;
  }
  return whole(outputs, 1);
}

std::string Operators::expected_value(const std::string& key, const std::string& value) const {
  const std::vector<std::string> numbers = detkit::words(value);
  if (numbers.size() > kMostNumbers) {
    return "at most " + std::to_string(kMostNumbers) + " numbers";
  }
  const auto allowed = this->words.find(key);
  if (allowed != this->words.end()) {
    std::string expected;
    for (const std::string& word : allowed->second) {
      if (word == value) return "";
      expected += (expected.empty() ? "" : " or ") + word;
    }
    return expected;
  }
  const auto limit = limits.find(key);
  bool right = limit == limits.end() || !numbers.empty();
  for (const std::string& word : numbers) {
    if (limit == limits.end()) {
      right = right && (!is_whole(word) || std::llabs(whole(word, kLargest + 1)) <= kLargest);
    } else if (word != "None") {
      const auto [least, most] = limit->second;
      const long long number = whole(word, least - 1);
      right = right && least <= number && number <= most;
    }
  }
  if (right) return "";
  if (limit == limits.end()) return "whole numbers up to " + std::to_string(kLargest);
  return "whole numbers from " + std::to_string(limit->second.first) + " to " +
         std::to_string(limit->second.second);
}

const Operators& operators() {
  static const Operators table = read_table();
  return table;
}

}  // namespace detkit
