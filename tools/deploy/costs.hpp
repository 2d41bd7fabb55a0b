// The memory and the work of a network, bounded before MXNet runs it.
// detkit/export/graph/costs.py explains the bounds, and has the same.
#pragma once

#include "nodes.hpp"

namespace detkit {

// Tells what is wrong if a network needs too much. `nodes` are in the order in which they run,
// `outputs` are the network's, and `values` is the number of values of its inputs.
Wrong check_costs(const ShapedNodes& nodes, const std::vector<Entry>& outputs, double values);

}  // namespace detkit
