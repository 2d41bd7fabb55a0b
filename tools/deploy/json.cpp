#include "json.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <locale>
#include <set>
#include <sstream>

#include "detkit.hpp"

namespace detkit {
namespace {

constexpr int kDeepest = 64;
constexpr size_t kMostValues = 500000;

bool is_digit(int byte) { return byte >= '0' && byte <= '9'; }

// Returns how many bytes the UTF-8 character at `at` has, or 0 if it is not one. Overlong forms,
// surrogates and code points above U+10FFFF are not characters.
size_t utf8_length(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? uint8_t(text[i]) : uint8_t(0); };
  const uint8_t first = byte(at), second = byte(at + 1);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return 0;
  if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return 0;
  return length;
}

void append_utf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    *out += char(code);
    return;
  }
  const int tail = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  const uint32_t marks[] = {0, 0xc0, 0xe0, 0xf0};
  *out += char(marks[tail] | code >> (6 * tail));
  for (int i = tail - 1; i >= 0; --i) *out += char(0x80 | (code >> (6 * i) & 0x3f));
}

class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {}

  Json document() {
    Json value = this->value(0);
    skip_space();
    if (at_ != text_.size()) fail("the end of the file");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    const auto line = 1 + std::count(text_.begin(), text_.begin() + std::ptrdiff_t(at_), '\n');
    std::string found = at_ < text_.size() ? "something else" : "the end of the file";
    if (at_ < text_.size() && text_[at_] > ' ' && text_[at_] < 0x7f) {
      found = std::string("'") + text_[at_] + "'";
    }
    throw Error("line " + std::to_string(line) + ": expected " + expected + ", found " + found);
  }

  int peek() const { return at_ < text_.size() ? uint8_t(text_[at_]) : -1; }

  bool take(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }

  void skip_space() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') ++at_;
  }

  bool take_word(const char* word) {
    const std::string wanted = word;
    if (text_.compare(at_, wanted.size(), wanted) != 0) return false;
    at_ += wanted.size();
    return true;
  }

  Json value(int depth) {
    if (depth > kDeepest) fail("no deeper nesting");
    if (++values_ > kMostValues) fail("at most " + std::to_string(kMostValues) + " values");
    skip_space();
    Json value;
    if (peek() == '{') return object(depth);
    if (peek() == '[') return array(depth);
    if (peek() == '-' || is_digit(peek())) return number();
    if (peek() == '"') {
      value.kind = Json::Kind::string;
      value.string = string();
    } else if (take_word("true") || take_word("false")) {
      value.kind = Json::Kind::boolean;
      value.boolean = text_[at_ - 2] == 'u';
    } else if (!take_word("null")) {
      fail("a value");
    }
    return value;
  }

  Json object(int depth) {
    Json value;
    value.kind = Json::Kind::object;
    take('{');
    skip_space();
    if (take('}')) return value;
    std::set<std::string> keys;  // to look for the key in `value` would take a square of the time
    do {
      skip_space();
      if (peek() != '"') fail("a key");
      std::string key = string();
      if (!keys.insert(key).second) fail("no second " + quoted(key));
      skip_space();
      if (!take(':')) fail("':'");
      value.members.emplace_back(std::move(key), this->value(depth + 1));
      skip_space();
    } while (take(','));
    if (!take('}')) fail("',' or '}'");
    return value;
  }

  Json array(int depth) {
    Json value;
    value.kind = Json::Kind::array;
    take('[');
    skip_space();
    if (take(']')) return value;
    do {
      value.items.push_back(this->value(depth + 1));
      skip_space();
    } while (take(','));
    if (!take(']')) fail("',' or ']'");
    return value;
  }

  void digits() {
    if (!is_digit(peek())) fail("a digit");
    while (is_digit(peek())) ++at_;
  }

  Json number() {
    const size_t begin = at_;
    take('-');
    if (!take('0')) digits();
    bool is_whole = true;
    if (take('.')) {
      digits();
      is_whole = false;
    }
    if (take('e') || take('E')) {
      is_whole = false;
      if (!take('+')) take('-');
      digits();
    }
    Json value;
    value.kind = Json::Kind::number;
    value.is_whole = is_whole;
    std::istringstream token(text_.substr(begin, at_ - begin));
    token.exceptions(std::ios::badbit);   // missing memory is no wrong number
    token.imbue(std::locale::classic());  // a user's locale may want a comma
    if (!(token >> value.number)) fail("a number that a double can hold");
    return value;
  }

  uint32_t four_hex_digits() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const int byte = peek(), letter = byte | 0x20;
      const bool is_letter = letter >= 'a' && letter <= 'f';
      if (!is_digit(byte) && !is_letter) fail("four hexadecimal digits");
      code = 16 * code + uint32_t(is_letter ? letter - 'a' + 10 : byte - '0');
    }
    return code;
  }

  void escape(std::string* out) {
    static const std::string letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    if (take('u')) {
      uint32_t code = four_hex_digits();
      if (code >= 0xd800 && code < 0xdc00 && take_word("\\u")) {
        const uint32_t low = four_hex_digits();
        if (low < 0xdc00 || low > 0xdfff) fail("the second half of a pair before it");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      }
      if (code >= 0xd800 && code < 0xe000) fail("both halves of a surrogate pair");
      append_utf8(code, out);
      return;
    }
    const size_t index = at_ < text_.size() ? letters.find(text_[at_]) : std::string::npos;
    if (index == std::string::npos) fail("an escape");
    *out += meanings[index];
    ++at_;
  }

  std::string string() {
    std::string out;
    take('"');
    while (!take('"')) {
      if (take('\\')) {
        escape(&out);
        continue;
      }
      const size_t length = utf8_length(text_, at_);
      if (peek() < 0x20 || length == 0) fail("a character of a string, in UTF-8, or '\"'");
      out.append(text_, at_, length);
      at_ += length;
    }
    return out;
  }

  const std::string& text_;
  size_t at_ = 0, values_ = 0;
};

}  // namespace

const Json* Json::find(const std::string& key) const {
  for (const auto& member : members) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

Json Json::parse(const std::string& text) { return Reader(text).document(); }

const char* name_of(Json::Kind kind) {
  const char* names[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
  return names[int(kind)];
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    const char c = text[at];
    if (length == 0) {
      out += "\\ufffd";
    } else if (uint8_t(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", unsigned(uint8_t(c)));
      out += escape;
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out.append(text, at, length);
    }
    at += std::max<size_t>(length, 1);
  }
  return out + '"';
}

}  // namespace detkit
