// SPDX-License-Identifier: Apache-2.0
// For tests: is a text well-formed markup? Stricter than a browser, which forgives everything.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace cmunet::report {

/// An empty string when every tag of `markup` is closed in order, attributes are quoted and not repeated, and & stands
/// only in references; else what is wrong. HTML's void elements and the raw text of style and script are understood.
class WellFormed {
 public:
  static std::string problem_of(std::string_view markup) {
    WellFormed checker(markup);
    while (checker.problem_.empty() && checker.at_ < markup.size()) checker.step();
    if (checker.problem_.empty() && !checker.open_.empty()) return "not closed: " + checker.open_.back();
    return checker.problem_;
  }

 private:
  explicit WellFormed(std::string_view text) : text_(text) {}

  void step() {
    if (text_[at_] == '<') return step_tag();
    if (text_[at_] == '&') return step_reference();
    if (text_[at_] == '>') return fail("bare >");
    ++at_;
  }

  void step_reference() {
    const std::size_t end = text_.find(';', at_);
    if (end == std::string_view::npos || end - at_ > 8 || end == at_ + 1) return fail("bare &");
    for (std::size_t i = at_ + 1; i < end; ++i) {
      const char c = text_[i];
      const bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '#' || c == 'x';
      if (!ok) return fail("bare &");
    }
    at_ = end + 1;
  }

  void step_tag() {
    if (text_.substr(at_).starts_with("<!DOCTYPE html>")) {
      at_ += 15;
      return;
    }
    const bool is_end = text_.substr(at_ + 1, 1) == "/";
    at_ += is_end ? 2 : 1;
    const std::string name = word();
    if (name.empty()) return fail("bare <");
    if (is_end) {
      if (open_.empty() || open_.back() != name) return fail("</" + name + "> without its start");
      open_.pop_back();
      if (!take(">")) fail("</" + name + " is cut off");
      return;
    }
    std::vector<std::string> seen;
    while (problem_.empty()) {
      skip_space();
      if (take("/>")) return;
      if (take(">")) break;
      step_attribute(seen);
    }
    if (name == "meta" || name == "img" || !problem_.empty()) return;
    if (name == "style" || name == "script") {
      const std::size_t end = text_.find("</" + name + ">", at_);
      if (end == std::string_view::npos) return fail(name + " is not closed");
      at_ = end + name.size() + 3;
      return;
    }
    open_.push_back(name);
  }

  void step_attribute(std::vector<std::string>& seen) {
    const std::string name = word();
    if (name.empty() || !take("=\"")) return fail("bad attribute " + name);
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) return fail("attribute twice: " + name);
    seen.push_back(name);
    while (problem_.empty() && at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '<') return fail("< in attribute " + name);
      if (text_[at_] == '&')
        step_reference();
      else
        ++at_;
    }
    if (problem_.empty() && !take("\"")) fail("attribute not closed: " + name);
  }

  std::string word() {
    const std::size_t start = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '-')) ++at_;
    return std::string(text_.substr(start, at_ - start));
  }

  bool take(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }

  void skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }

  void fail(const std::string& what) {
    problem_ = what + " at byte " + std::to_string(at_) + ": " + std::string(text_.substr(at_, 60));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
  std::string problem_;
};

}  // namespace cmunet::report
