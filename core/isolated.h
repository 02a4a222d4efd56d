/* SPDX-License-Identifier: MIT */
/* An isolated instance: the side that runs its plugin. */
#ifndef BERTH_CORE_ISOLATED_H
#define BERTH_CORE_ISOLATED_H

#include "inline/frames.h"

#define ISOLATED_ARGUMENT FRAME_ARGUMENT

/* Opens the instance that the other side names on the first lane, and carries out its
 * calls until that side closes it. Returns the exit status. */
int isolated_serve(void);

#endif
