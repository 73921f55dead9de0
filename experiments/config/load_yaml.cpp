#include "experiments/config/load_yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <system_error>
#include <unordered_map>

#include "experiments/config/scalar.h"
#include "experiments/config/utf8.h"
#include "experiments/config/yaml_errors.h"
#include "kernels/core/error.h"

namespace attnlab::config {
namespace {

[[noreturn]] void fail(const Position& position, const std::string& message) {
  throw ConfigError(fmt::format("[config] {}: {}", position.to_string(), message));
}

void check_characters(const std::string& text, Position position) {
  position.line = position.column = 1;
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
    fail(position, "the file is UTF-16; save it as UTF-8");
  }
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text, i);
    const auto byte = static_cast<unsigned char>(text[i]);
    if (length == 0) {
      fail(position, fmt::format("byte 0x{:02x} is not valid UTF-8; save the file as UTF-8", byte));
    }
    if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7F) {
      fail(position,
           fmt::format("control character 0x{:02x}; write it as \\x{:02x} in double quotes", byte,
                       byte));
    }
    position.column += 1;
    if (text[i] == '\n') {
      position.line += 1;
      position.column = 1;
    }
    i += length;
  }
}

/// Builds the tree from the parser's events, so that no shared, mutable node of the parser is ever
/// walked (aliases of aliases are counted, not expanded).
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::shared_ptr<const std::string> source) : source_(std::move(source)) {}

  const Tree& result() const { return result_; }

  /// The innermost '[' or '{' without its end.
  std::optional<OpenBracket> open_bracket() const {
    if (open_.empty() || !open_.back().is_flow) return {};
    return OpenBracket{open_.back().is_list, open_.back().position};
  }

  /// Where the last value or key was seen.
  const Position& last_place() const { return last_place_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(Tree::null(at(mark)), anchor, false);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) fail(at(mark), "an alias inside its own anchor (a cycle)");
    add(found->second, 0, false);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const Position position = at(mark);
    if (value.size() > kMaxStringBytes) {
      fail(position, fmt::format("a string of {} bytes; at most {} are allowed", value.size(),
                                 kMaxStringBytes));
    }
    // The parser marks quoted scalars with the tag "!" and plain ones with "?".
    quoted_ = tag == "!";
    if (quoted_) {
      add(value == "???" ? Tree::missing(position)
                         : Tree::of_string(complete_latin1(value), position),
          anchor, true);
    } else {
      check_tag(tag, position);
      const bool is_key = expects_key();
      plain_ = value;
      const Tree resolved = resolve_yaml_scalar(value, position);
      add(resolved, anchor, is_key && (resolved.is_string() || value == "<<"));
    }
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(mark, tag, anchor, true, style == YAML::EmitterStyle::Flow);
  }
  void OnSequenceEnd() override {
    const Open top = close();
    add(Tree::of_list(top.items, top.position), top.anchor, false);
  }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(mark, tag, anchor, false, style == YAML::EmitterStyle::Flow);
  }
  void OnMapEnd() override {
    Open top = close();
    if (!top.merged.empty()) top.entries = with_merged(top.merged, std::move(top.entries));
    add(Tree::of_map(std::move(top.entries), top.position), top.anchor, false);
  }

 private:
  /// A list or map whose end has not been seen.
  struct Open {
    bool is_list;
    bool is_flow;
    Position position;
    YAML::anchor_t anchor;
    std::vector<Tree> items = {};
    std::vector<Tree::Entry> entries = {};
    std::unordered_map<std::string, Position> key_places = {};
    std::vector<Tree> merged = {};
    bool has_key = false;
    std::string key = {};
    bool merge_key = false;
    std::size_t nodes = 1;
  };

  Position at(const YAML::Mark& mark) {
    last_place_ = {source_, mark.line + 1, mark.column + 1};
    return last_place_;
  }

  bool expects_key() const {
    return !open_.empty() && !open_.back().is_list && !open_.back().has_key;
  }

  void check_tag(const std::string& tag, const Position& position) {
    if (tag.empty() || tag == "?") return;
    fail(position, fmt::format("the tag '{}' is not allowed; write the plain value", tag));
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, bool is_list,
            bool is_flow) {
    check_tag(tag, at(mark));
    if (expects_key()) fail(at(mark), "a key must be a string, not a list or a map");
    if (open_.size() >= kMaxDepth) {
      fail(at(mark), fmt::format("nested deeper than {} levels", kMaxDepth));
    }
    open_.push_back({is_list, is_flow, at(mark), anchor});
  }

  /// The merged keys come first. Of several merged maps the earlier wins, own keys win over all.
  static std::vector<Tree::Entry> with_merged(const std::vector<Tree>& merged,
                                              std::vector<Tree::Entry> own) {
    std::vector<Tree::Entry> entries;
    std::unordered_map<std::string, std::size_t> places;
    for (const Tree& source : merged) {
      for (const Tree::Entry& entry : source.entries()) {
        if (places.emplace(entry.first, entries.size()).second) entries.push_back(entry);
      }
    }
    for (Tree::Entry& entry : own) {
      const auto [place, is_new] = places.emplace(entry.first, entries.size());
      if (is_new) {
        entries.push_back(std::move(entry));
      } else {
        entries[place->second].second = std::move(entry.second);
      }
    }
    return entries;
  }

  Open close() {
    Open top = std::move(open_.back());
    open_.pop_back();
    return top;
  }

  void add(const Tree& value, YAML::anchor_t anchor, bool string_key) {
    if (anchor != 0) anchors_.insert_or_assign(anchor, value);
    if (open_.empty()) {
      result_ = value;
      return;
    }
    Open& top = open_.back();
    if (expects_key()) {
      add_key(top, value, string_key);
      return;
    }
    // Levels and nodes grow through aliases as well, which cost nothing to write.
    if (open_.size() + value.depth() > kMaxDepth + 1) {
      fail(value.position(), fmt::format("nested deeper than {} levels", kMaxDepth));
    }
    total_nodes_ += 1;
    top.nodes += std::min(value.node_count(), kMaxNodes + 1);
    if (top.nodes > kMaxNodes || total_nodes_ > kMaxNodes) {
      fail(top.position, fmt::format("more than {} values (aliases counted each time)", kMaxNodes));
    }
    if (top.is_list) {
      top.items.push_back(value);
    } else if (top.merge_key) {
      add_merged(top, value);
      top.has_key = false;
    } else {
      top.entries.emplace_back(top.key, value);
      top.has_key = false;
    }
  }

  void add_key(Open& top, const Tree& value, bool string_key) {
    if (!string_key) {
      fail(value.position(),
           value.is_null()
               ? "the key in front of ':' is missing, or null; inside {} pairs are separated by "
                 "commas, and a comment begins with #"
               : fmt::format("a key must be a string, and this one reads as {}; quote it: '{}'",
                             value.kind_name(), plain_));
    }
    const std::string& key = value.is_missing() ? "???" : value.as_string();
    if (key.size() > kMaxKeyBytes) {
      fail(value.position(),
           fmt::format("a key of {} bytes; at most {} are allowed", key.size(), kMaxKeyBytes));
    }
    const auto [place, is_new] = top.key_places.emplace(key, value.position());
    if (!is_new) {
      fail(value.position(), fmt::format("key '{}' appears twice; it was first given at {}", key,
                                         place->second.to_string()));
    }
    top.has_key = true;
    top.key = key;
    top.merge_key = key == "<<" && !quoted_;
  }

  void add_merged(Open& top, const Tree& value) {
    const auto add_map = [&](const Tree& map) {
      if (!map.is_map()) {
        fail(map.position(), fmt::format("'<<' merges maps; this is {}", map.kind_name()));
      }
      top.merged.push_back(map);
    };
    if (value.is_list()) {
      for (const Tree& item : value.items()) add_map(item);
    } else {
      add_map(value);
    }
  }

  std::shared_ptr<const std::string> source_;
  Tree result_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Tree> anchors_;
  std::size_t total_nodes_ = 0;
  Position last_place_;
  std::string plain_;    ///< the last scalar without quotes
  bool quoted_ = false;  ///< the last scalar: a quoted "<<" is a key like others
};

}  // namespace

Tree parse_yaml(const std::string& text, const std::string& source) {
  const auto shared_source = std::make_shared<const std::string>(source);
  check_characters(text, {shared_source});
  // The parser takes the end of a file behind a line's end for the end of a quoted text; behind a
  // comment it does not.
  std::istringstream stream(text.ends_with('\n') ? text + "#" : text);
  TreeBuilder builder(shared_source);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return Tree::null({shared_source, 1, 1});
    const Tree result = builder.result();
    TreeBuilder second(shared_source);
    if (parser.HandleNextDocument(second)) {
      fail(second.result().position(), "a second document; a config file holds one");
    }
    return result;
  } catch (const YAML::Exception& error) {
    if (error.msg == "illegal EOF in scalar") {
      const Position& last = builder.last_place();
      const std::size_t quote = unclosed_quote(text, last.line - 1, last.column - 1);
      const std::string before = text.substr(0, quote);
      const int line = static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1;
      const int column = static_cast<int>(quote - (before.rfind('\n') + 1)) + 1;
      fail({shared_source, line, column}, "the quote opened here is never closed");
    }
    fail({shared_source, error.mark.line + 1, error.mark.column + 1},
         explain_yaml_error(error.msg, text, error.mark.line, error.mark.column,
                            builder.open_bracket()));
  }
}

namespace {

const char* type_name(std::filesystem::file_type type) {
  switch (type) {
    case std::filesystem::file_type::directory: return "a folder";
    case std::filesystem::file_type::fifo: return "a named pipe";
    case std::filesystem::file_type::socket: return "a socket";
    case std::filesystem::file_type::block:
    case std::filesystem::file_type::character: return "a device";
    default: return "no regular file";
  }
}

}  // namespace

std::string read_config_text(const std::filesystem::path& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  const auto refuse = [&](const std::string& why) {
    throw ConfigError(fmt::format("[config] {}: {}", file.string(), why));
  };
  if (!std::filesystem::exists(status)) refuse("there is no such file");
  if (!std::filesystem::is_regular_file(status)) {
    refuse(fmt::format("this is {}; a config is a file with YAML in it", type_name(status.type())));
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) refuse(fmt::format("cannot be opened: {}", std::strerror(errno)));
  // One byte more than allowed tells a file that is too large without reading all of it.
  std::string text(kMaxFileBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) refuse("cannot be read");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kMaxFileBytes) {
    refuse(fmt::format("larger than {} bytes, which is the most a config file may have",
                       kMaxFileBytes));
  }
  return text;
}

Tree load_yaml(const std::filesystem::path& file) {
  return parse_yaml(read_config_text(file), file.string());
}

}  // namespace attnlab::config
