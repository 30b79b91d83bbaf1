// The one line of stderr that a progress bar redraws, shared with the log so that the two do not write over
// each other.
#pragma once

#include <string>

namespace foresight {

/// True when stderr is a terminal that can move its cursor (TERM is set and not "dumb").
bool stderr_is_terminal();

/// Width of stderr's terminal in columns; 80 if it is not known.
int terminal_columns();

/// Draws `text` over the present progress line of the terminal; thread-safe.
void draw_terminal_line(const std::string& text);

/// Leaves the present progress line standing and starts a new one, if a line is drawn; thread-safe.
void end_terminal_line();

/// Erases the progress line, if one is drawn, so that other output starts on a clean line; thread-safe.
void erase_terminal_line();

}  // namespace foresight
