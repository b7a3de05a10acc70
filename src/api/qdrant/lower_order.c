/* Lowering orders: by the values of a payload field. */
#include <math.h>

#include "api/qdrant/qdrant.h"
#include "base/time.h"

static int lower_from(struct vex_call *call, const Qdrant__StartFrom *in, struct vex_order_value *ret)
{
    const char *text;

    ret->kind = VEX_ORDER_INT;
    switch (in->value_case) {
    case QDRANT__START_FROM__VALUE_FLOAT:
        if (isnan(in->float_))
            return vex_qdrant_malformed(call, "start_from is not a number");
        ret->kind = VEX_ORDER_DOUBLE;
        ret->real = in->float_;
        return 0;
    case QDRANT__START_FROM__VALUE_INTEGER:
        ret->integer = in->integer;
        return 0;
    case QDRANT__START_FROM__VALUE_TIMESTAMP:
        return vex_lower_time(call, in->timestamp, &ret->integer);
    case QDRANT__START_FROM__VALUE_DATETIME:
        text = in->datetime != NULL ? in->datetime : "";
        if (vex_time_parse(vex_str_c(text), &ret->integer))
            return 0;
        return vex_qdrant_malformed(call, "Unable to parse datetime: %.200s", text);
    default:
        return vex_qdrant_malformed(call, "Malformed StartFrom");
    }
}

int vex_lower_order_by(struct vex_call *call, const Qdrant__OrderBy *in, struct vex_order_by *ret)
{
    int code = vex_lower_path(call, in->key, &ret->key);

    if (code < 0)
        return code;
    ret->descending = in->has_direction && in->direction == QDRANT__DIRECTION__Desc;
    ret->has_from = in->start_from != NULL;
    return ret->has_from ? lower_from(call, in->start_from, &ret->from) : 0;
}
