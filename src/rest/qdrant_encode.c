/* Qdrant's REST dialect, answers: the envelope, and what of a response message is the result. */
#include "rest/qdrant.h"

#include "api/qdrant/qdrant.h"
#include "rest/message_to_json.h"

#define JSON "application/json"
#define TEXT "text/plain; charset=utf-8"

static const char *const not_result[] = {"time", "usage", NULL};

static void put_name(struct vex_jw *w, const char *name)
{
    vex_jw_name(w, name);
}

/* ---- results ---- */

int vex_qdrant_put_result(struct vex_rest_request *request, struct vex_jw *w)
{
    vex_field_to_json(w, request->call.response, "result");
    return 0;
}

int vex_qdrant_put_whole(struct vex_rest_request *request, struct vex_jw *w)
{
    vex_jw_object(w);
    vex_message_members(w, request->call.response, not_result);
    vex_jw_object_end(w);
    return 0;
}

int vex_qdrant_put_points(struct vex_rest_request *request, struct vex_jw *w)
{
    vex_jw_object(w);
    put_name(w, "points");
    vex_field_to_json(w, request->call.response, "result");
    vex_jw_object_end(w);
    return 0;
}

int vex_qdrant_put_scroll(struct vex_rest_request *request, struct vex_jw *w)
{
    vex_jw_object(w);
    put_name(w, "points");
    vex_field_to_json(w, request->call.response, "result");
    put_name(w, "next_page_offset");
    vex_field_to_json(w, request->call.response, "next_page_offset");
    vex_jw_object_end(w);
    return 0;
}

/* Search batches are lists of lists; those of queries are lists of objects. */
int vex_qdrant_put_batches(struct vex_rest_request *request, struct vex_jw *w)
{
    const Qdrant__QueryBatchResponse *response = request->call.response;

    vex_jw_array(w);
    for (size_t i = 0; i < response->n_result; i++) {
        vex_jw_object(w);
        put_name(w, "points");
        vex_field_to_json(w, &response->result[i]->base, "result");
        vex_jw_object_end(w);
    }
    vex_jw_array_end(w);
    return 0;
}

int vex_qdrant_put_record(struct vex_rest_request *request, struct vex_jw *w)
{
    const Qdrant__GetResponse *response = request->call.response;

    if (response->n_result == 0)
        return vex_err_set(&request->call.err, VEX_ENOT_FOUND,
                           "Point with id " VEX_STR_FMT " does not exists!", VEX_STR_ARG(request->params[1]));
    vex_message_to_json(w, &response->result[0]->base);
    return 0;
}

int vex_qdrant_put_snapshots(struct vex_rest_request *request, struct vex_jw *w)
{
    vex_field_to_json(w, request->call.response, "snapshot_descriptions");
    return 0;
}

int vex_qdrant_put_snapshot(struct vex_rest_request *request, struct vex_jw *w)
{
    vex_field_to_json(w, request->call.response, "snapshot_description");
    return 0;
}

int vex_qdrant_put_true(struct vex_rest_request *request, struct vex_jw *w)
{
    (void)request;
    vex_jw_bool(w, true);
    return 0;
}

/* ---- envelopes ---- */

/* A request that was refused before it ran took no time. */
static void put_time(struct vex_rest_request *request, struct vex_jw *w)
{
    put_name(w, "time");
    vex_jw_f64(w, request->call.service != NULL ? vex_call_seconds(&request->call) : 0.0);
}

static struct vex_str error_text(struct vex_rest_request *request)
{
    struct vex_call *call = &request->call;

    if (!vex_qdrant_bad_query(request))
        return vex_rpc_error_text(call);
    return vex_str_c(
        vex_arena_printf(&call->arena, "Deserialize error in query parameters: %s", call->err.text));
}

static bool is_probe(const struct vex_rest_request *request)
{
    const struct vex_qdrant_route *route = request->route->detail;

    return route->local == &vex_qdrant_local_ready || route->local == &vex_qdrant_local_alive;
}

static void put_retry(struct vex_rest_request *request)
{
    uint32_t seconds = vex_rpc_retry_after(&request->call);

    if (seconds == 0)
        return;
    request->header_name = "retry-after";
    request->header_value = vex_arena_printf(&request->call.arena, "%u", seconds);
}

static void put_error(struct vex_rest_request *request)
{
    struct vex_call *call = &request->call;
    struct vex_jw w = vex_jw(&request->reply);

    request->reply.len = 0;
    request->status = vex_err_class(call->err.code)->http_status;
    if (call->err.code == VEX_EUNAUTHENTIC) { /* keys are asked for before there is a dialect to speak */
        request->content_type_reply = TEXT;
        vex_buf_add_str(&request->reply, vex_str_c(call->err.text));
        return;
    }
    if (is_probe(request)) {
        request->content_type_reply = TEXT;
        vex_buf_add_str(&request->reply, VEX_STR("some shards are not ready"));
        return;
    }
    put_retry(request);
    request->content_type_reply = JSON;
    vex_jw_object(&w);
    put_name(&w, "status");
    vex_jw_object(&w);
    put_name(&w, "error");
    vex_jw_str(&w, error_text(request));
    vex_jw_object_end(&w);
    put_time(request, &w);
    vex_jw_object_end(&w);
}

static void put_usage(struct vex_rest_request *request, struct vex_jw *w)
{
    const ProtobufCMessage *response = request->call.response;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(response->descriptor, "usage");

    if (field == NULL || !vex_field_is_set(response, field))
        return;
    put_name(w, "usage");
    vex_field_value(w, response, field);
}

static int put_success(struct vex_rest_request *request)
{
    const struct vex_qdrant_route *route = request->route->detail;
    struct vex_jw w = vex_jw(&request->reply);
    int code = 0;

    vex_jw_object(&w);
    put_name(&w, "result");
    if (route->local != NULL)
        vex_jw_raw(&w, vex_buf_str(request->call.response));
    else
        code = route->result(request, &w);
    if (code < 0)
        return code;
    put_name(&w, "status");
    vex_jw_text(&w, "ok");
    put_time(request, &w);
    if (route->local == NULL)
        put_usage(request, &w);
    vex_jw_object_end(&w);
    return 0;
}

static void put_answer(struct vex_rest_request *request)
{
    const struct vex_qdrant_route *route = request->route->detail;

    request->status = 200;
    request->content_type_reply = JSON;
    if (route->local != NULL && route->answer != VEX_QDRANT_ANSWER_RESULT) {
        vex_buf_add_str(&request->reply, vex_buf_str(request->call.response));
        if (route->answer == VEX_QDRANT_ANSWER_TEXT)
            request->content_type_reply = TEXT;
    } else if (put_success(request) < 0) {
        put_error(request);
    }
}

void vex_qdrant_encode(struct vex_rest_request *request)
{
    struct vex_call *call = &request->call;

    if (request->route == NULL || request->found != VEX_ROUTE_FOUND) {
        request->status = 404;
        request->content_type_reply = NULL;
        return;
    }
    if (call->code < 0)
        put_error(request);
    else
        put_answer(request);
    vex_qdrant_stats_add(request, call->service != NULL ? (uint64_t)(vex_call_seconds(call) * 1e9) : 0);
}
