/* SPDX-License-Identifier: MIT */
/* What admins ask about, as JSON: programs read it, and tables are made from it. Each
 * report begins with the version of its schema. */
#ifndef BERTH_CORE_REPORT_H
#define BERTH_CORE_REPORT_H

#include "core/buffer.h"
#include "core/inventory.h"

/* {"schema":1,"adapters":[...]}: every instance, with its settings and their origins.
 * -ENOMEM, as the others. */
int report_adapters(const struct inventory *inventory, struct buffer *out);

/* {"schema":1,"stamp":{...}} */
int report_stamp(const struct stamp *stamp, struct buffer *out);

/* {"schema":1,"settings":{KEY:{"value":V,"origin":O,"overrode":[...]}}} */
int report_config(const cJSON *settings, struct buffer *out);

#endif
