// The memory and the work of a network, bounded before MXNet runs it.
// detkit/export/graph/costs.py explains the bounds, and has the same.
#pragma once

#include "nodes.hpp"

namespace detkit {

// Tells what is wrong if a network needs too much. `nodes` are in the order in which they run,
// `outputs` are the network's, `images` is the first axis of its inputs, and `values` is the number
// of their values.
Wrong check_costs(const ShapedNodes& nodes, const std::vector<Entry>& outputs, double images,
                  double values);

}  // namespace detkit
