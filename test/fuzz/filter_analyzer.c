/* Fuzz: any text, through any analyzer: tokens are UTF-8 when the text is, keep their bounds, and are not many more than the text;
 * a text that is asked for finds itself. The first bytes choose the parameters. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "engine/text/analyzer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tokens {
    const struct vex_text_params *params;
    bool valid;
    uint64_t count, bytes;
    uint32_t next;
};

static int on_token(void *arg, struct vex_str token, uint32_t position)
{
    struct tokens *tokens = arg;

    if (tokens->valid && !vex_utf8_valid(token))
        abort();
    if (position != VEX_POSITION_NONE && position != tokens->next++)
        abort();
    if (tokens->params->max_token_len > 0 && tokens->valid &&
        vex_utf8_count(token) > tokens->params->max_token_len)
        abort();
    if (tokens->valid && vex_utf8_count(token) < tokens->params->min_token_len)
        abort();
    tokens->count++;
    tokens->bytes += token.len;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const stemmers[] = {"",       "english", "turkish", "tamil",
                                           "arabic", "greek",   "finnish", "russian"};
    struct vex_str english = VEX_STR("english");
    struct vex_text_params params = {.lowercase = true};
    struct vex_analyzer *analyzer;
    struct vex_str text;
    struct vex_err err;

    if (size < 4)
        return 0;
    params.tokenizer = (enum vex_tokenizer)(data[0] % VEX_TOKENIZER_COUNT);
    params.lowercase = (data[1] & 1) != 0;
    params.ascii_folding = (data[1] & 2) != 0;
    params.stopword_languages = &english;
    params.stopword_language_count = data[1] >> 2 & 1;
    params.stemmer = vex_str_c(stemmers[data[1] >> 3 & 7]);
    params.min_token_len = data[2] & 15;
    params.max_token_len = data[2] >> 4;
    if (params.max_token_len <
        params.min_token_len) /* what is asked of prefixes is cut to the longest there would be */
        params.max_token_len = 0;
    if (vex_analyzer_new(&params, &analyzer, &err) != 0)
        abort();
    text = vex_str((const char *)data + 4, size - 4);
    for (int use = VEX_TEXT_DOCUMENT; use <= VEX_TEXT_RANKING; use++) {
        struct tokens tokens = {.params = &params, .valid = vex_utf8_valid(text)};
        vex_analyze(analyzer, text, (enum vex_text_use)use, on_token, &tokens);
        if (tokens.count > 3 * text.len || tokens.bytes > (uint64_t)text.len * (VEX_PREFIX_MAX + 64))
            abort();
    }
    vex_analyzer_free(analyzer);
    return 0;
}
