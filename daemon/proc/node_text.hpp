// A node as the text of a file, in both directions, and its errors as errno(3).

#pragma once

#include <asio/awaitable.hpp>
#include <exception>
#include <string>

#include "daemon/proc/inodes.hpp"
#include "daemon/state/tree.hpp"

namespace masqgate::proc {

// The exact text if the node has one, else its document with two spaces of indentation and a final
// newline. Throws what the node throws.
asio::awaitable<std::string> read_text(const state::Node& node);

// Gives the node what was written to its file: as it is, or parsed as a document. Throws what the
// node throws, and state::Error (malformed) if the text is no JSON.
asio::awaitable<void> write_text(const state::Node& node, std::string text);

// What read(2) and write(2) answer for this failure; EIO for what no node should throw.
int errno_of(const std::exception_ptr& failure);
std::string message_of(const std::exception_ptr& failure);

}  // namespace masqgate::proc
