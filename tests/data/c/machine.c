#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define STACK_SIZE 64
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum opcode { OP_PUSH, OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_DUP, OP_JUMP_IF, OP_PRINT, OP_HALT, N_OPCODES };

_Static_assert(N_OPCODES < 16, "opcodes have four bits");

union value {
    int i;
    float f;
    unsigned char bytes[sizeof(int)];
};

struct instruction {
    unsigned opcode : 4;
    unsigned is_float : 1, : 3;
    union value argument;
};

struct machine;
typedef int (*handler_t)(struct machine *, const struct instruction *);

struct machine {
    struct {
        union value slots[STACK_SIZE];
        int top;
    } stack;
    const struct instruction *code;
    volatile int pc;
    FILE *log;
    struct machine *parent;
};

static void trace(const struct machine *m, const char *format, ...)
{
    va_list arguments;
    if (!m->log)
        return;
    va_start(arguments, format);
    vfprintf(m->log, format, arguments);
    va_end(arguments);
}

static int sum(int n, ...)
{
    va_list ap;
    int total = 0;
    va_start(ap, n);
    for (int i = 0; i < n; i++)
        total += va_arg(ap, int);
    va_end(ap);
    return total;
}

static inline union value pop(struct machine *m)
{
    assert(m->stack.top > 0 && "stack underflow");
    return m->stack.slots[--m->stack.top];
}

static inline void push(struct machine *m, union value v)
{
    assert(m->stack.top < STACK_SIZE);
    m->stack.slots[m->stack.top++] = v;
}

static int do_push(struct machine *m, const struct instruction *i)
{
    push(m, i->argument);
    return 0;
}

static int do_arithmetic(struct machine *m, const struct instruction *i)
{
    union value b = pop(m), a = pop(m), r = {0};

    switch (i->opcode) {
    case OP_ADD:
        if (i->is_float) r.f = a.f + b.f;
        else r.i = a.i + b.i;
        break;
    case OP_SUB: r.i = a.i - b.i; break;
    case OP_MUL: r.i = a.i * b.i; break;
    case OP_DIV: {
        if (b.i == 0) {
            errno = EDOM;
            return -1;
        }
        r.i = a.i / b.i;
    } break;
    default:
        fprintf(stderr, "bad opcode %#x\n"
                        "at %d\n", i->opcode, m->pc);
        return -1;
    }
    push(m, r);
    return 0;
}

static int do_dup(struct machine *m, const struct instruction *unused)
{
    (void)unused;
    union value v = pop(m);
    push(m, v), push(m, v);
    return 0;
}

static int do_jump_if(struct machine *m, const struct instruction *i)
{
    if (pop(m).i)
        m->pc = i->argument.i - 1;
    return 0;
}

static int do_print(struct machine *m, const struct instruction *i)
{
    union value v = m->stack.slots[m->stack.top - 1];
    return (i->is_float ? printf("%g\n", (double)v.f) : printf("%d\n", v.i)) < 0 ? -1 : 0;
}

static const handler_t handlers[N_OPCODES] = {
    [OP_PUSH] = do_push,
    [OP_ADD] = &do_arithmetic, [OP_SUB] = &do_arithmetic,
    [OP_MUL] = do_arithmetic, [OP_DIV] = do_arithmetic,
    [OP_DUP] = do_dup, [OP_JUMP_IF] = do_jump_if, [OP_PRINT] = do_print,
};

int run(struct machine *restrict m)
{
    int status = 0;
    long unsigned int steps = 0;

    for (;;) {
        const struct instruction *i = m->code + m->pc;
        if (i->opcode == OP_HALT)
            goto done;
        if (++steps > 1000000UL || !handlers[i->opcode]) {
            status = -2;
            goto done;
        }
        trace(m, "%3d: %d\n", m->pc, (int)i->opcode);
        if ((status = handlers[i->opcode](m, i)) != 0)
            break;
        m->pc += 1;
    }
done:
    trace(m, "%lu steps, offset %zu\n", steps, offsetof(struct machine, stack.slots[0]));
    return status;
}

int main(void)
{
    static const struct instruction program[] = {
        {OP_PUSH, .argument.i = 10},
        {.opcode = OP_PRINT},
        {.opcode = OP_PUSH, 0, {.i = 1}},
        {.opcode = OP_SUB},
        {.opcode = OP_DUP},
        {.opcode = OP_JUMP_IF, .argument = {.i = 1}},
        {.opcode = OP_HALT},
    };
    struct machine m;
    int matrix[2][3] = {{1, 2, 3}, {4, 5, 6}}, (*row)[3] = matrix, x = 3;
    char letters[] = {'a', '\x41', '\101', '\\', '\''};
    unsigned mask = ~0u << 4 & 0xFF, flags = (mask >> 2) | 1u ^ 3u;

    memset(&m, 0, sizeof m);
    m.code = program;
    m.log = getenv("TRACE") ? stderr : NULL;
    if (run(&m) < 0) {
        perror("run");
        return 1;
    } else if (sum(3, 1, 2, 3) != 6 || ARRAY_SIZE(program) != 7)
        return 2;
    else
        puts("ok");
    do {
        x--, row[0][x % 3] <<= 1;
    } while (x > 0 && letters[x] >= 'A');
    for (int i = 0, j = 2; i < j; ++i, --j) { int t = matrix[0][i]; matrix[0][i] = matrix[0][j]; matrix[0][j] = t; }
    return !!(flags & 0x80) ? -1 : (int)(1e-3 * .5 + 2.);
}
