/* Quantization settings. See lower_params.h.
 *
 * Product quantization and turbo quantization of 4 and 8 bits are served by the default codes: they are kept and shown as they were
 * set, and take more memory than they say (docs/architecture.md). Turbo quantization below is what bit codes are: rotated, few bits. */
#include "api/qdrant/lower_params.h"

static struct vex_code_params of_binary(const Qdrant__BinaryQuantization *in)
{
    static const enum vex_code_kind kinds[] = {
        [QDRANT__BINARY_QUANTIZATION_ENCODING__OneBit] = VEX_CODES_1_BIT,
        [QDRANT__BINARY_QUANTIZATION_ENCODING__TwoBits] = VEX_CODES_2_BITS,
        [QDRANT__BINARY_QUANTIZATION_ENCODING__OneAndHalfBits] = VEX_CODES_1_5_BITS,
    };
    static const enum vex_code_query queries[] = {
        [QDRANT__BINARY_QUANTIZATION_QUERY_ENCODING__SETTING__Default] = VEX_CODE_QUERY_DEFAULT,
        [QDRANT__BINARY_QUANTIZATION_QUERY_ENCODING__SETTING__Binary] = VEX_CODE_QUERY_1_BIT,
        [QDRANT__BINARY_QUANTIZATION_QUERY_ENCODING__SETTING__Scalar4Bits] = VEX_CODE_QUERY_4_BITS,
        [QDRANT__BINARY_QUANTIZATION_QUERY_ENCODING__SETTING__Scalar8Bits] = VEX_CODE_QUERY_8_BITS,
    };
    const Qdrant__BinaryQuantizationQueryEncoding *query = in->query_encoding;
    struct vex_code_params params = {.kind = VEX_CODES_1_BIT};

    if (in->has_encoding && (size_t)in->encoding < sizeof kinds / sizeof *kinds)
        params.kind = kinds[in->encoding];
    if (query != NULL && query->variant_case == QDRANT__BINARY_QUANTIZATION_QUERY_ENCODING__VARIANT_SETTING &&
        (size_t)query->setting < sizeof queries / sizeof *queries)
        params.query = queries[query->setting];
    return params;
}

static struct vex_code_params of_turbo(const Qdrant__TurboQuantization *in)
{
    struct vex_code_params params = {0};

    if (!in->has_bits)
        return params;
    if (in->bits == QDRANT__TURBO_QUANT_BIT_SIZE__Bits1)
        params.kind = VEX_CODES_1_BIT;
    else if (in->bits == QDRANT__TURBO_QUANT_BIT_SIZE__Bits1_5)
        params.kind = VEX_CODES_1_5_BITS;
    else if (in->bits == QDRANT__TURBO_QUANT_BIT_SIZE__Bits2)
        params.kind = VEX_CODES_2_BITS;
    return params;
}

struct vex_code_params vex_lower_codes(const Qdrant__QuantizationConfig *own,
                                       const Qdrant__QuantizationConfig *all)
{
    const Qdrant__QuantizationConfig *in = own != NULL ? own : all;
    struct vex_code_params params = {0};

    if (in == NULL)
        return params;
    switch (in->quantization_case) {
    case QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_BINARY:
        return of_binary(in->binary);
    case QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_TURBOQUANT:
        return of_turbo(in->turboquant);
    case QDRANT__QUANTIZATION_CONFIG__QUANTIZATION_SCALAR:
        if (in->scalar->has_quantile && in->scalar->quantile >= 0.5f && in->scalar->quantile <= 1)
            params.quantile = in->scalar->quantile;
        return params;
    default:
        return params;
    }
}

void vex_lower_code_use(const Qdrant__QuantizationSearchParams *in, struct vex_nearest *ret)
{
    if (in == NULL)
        return;
    ret->ignore_codes = in->has_ignore && in->ignore;
    ret->score_by_codes = in->has_rescore && !in->rescore;
    ret->oversampling = in->has_oversampling ? in->oversampling : 0;
}
