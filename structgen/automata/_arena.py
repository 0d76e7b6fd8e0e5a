"""The arena: one int32 array that holds everything the machine knows, as hash-consed records addressed by offset.

A record is ``[hash, kind + 16 * n_key_words, fields..., key words...]`` and its id is its offset. Records with equal kind
and key are one record, so ids compare and hash like the values they stand for; keys never change, fields are memoised
results. Nothing is ever moved or freed, so ids stay valid for the life of the arena. The first words are the control
block below; scratch regions for the kernels follow; records start after those.

A kernel that runs out of room sets STATUS and returns early; the caller makes room and asks again, which is safe because
memoised results are stored only when complete. Cost: `intern` is one probe, about 30 ns.
"""

from structgen.automata.jit import kernel

# Control words: offsets into the arena.
TOP = 0  # first free word
LIMIT = 1  # kernels stop allocating large things beyond this
STATUS = 2  # OK or why a kernel returned early
TABLE = 3  # offset of the hash table
TABLE_BITS = 4
TABLE_USED = 5
FRESH = 6  # 1 if the last intern created a record
VISITED, SEEN = 7, 28  # sets of visited pairs: offset of a table of triples (x, y, epoch) with open addressing, its bits, the epoch
SP = 10  # top of the scratch stack
LP = 11  # top of the linked-list scratch
KP = 12  # top of the token scratch
SCRATCH_END = 13
LISTS = 14  # region bounds
LISTS_END = 15
TOKENS = 16
TOKENS_END = 17
TAPE = 18  # the text that items being read stand in, while a step is made (see _pushdown_kernels)
VOCAB = 22  # offset of token byte offsets
VOCAB_BYTES = 23  # offset of token bytes, one per word
N_VOCAB = 24
ROOT_TRIE = 25
FREE_LEXEME = 26  # the lexeme of any characters at all
WORDS = 27  # mask words per row
N_CONTROL = 32

OK, FULL, TOO_LARGE = 0, 1, 2

# Record kinds.
DSTATE, STACK, STATE, STRING, TEXT, CANON, KEYSET = range(1, 8)
TRIE, WALK, LEXEME, STACKS, TRIES, VALUE, FOREST = range(8, 15)
HEADER = 2
DEAD = -1
UNKNOWN = -2


@kernel("i8(i4[::1], i8)")
def alloc(h, n):
    """Offset of n fresh words (not cleared). Callers check room for large n first with `has_room`."""
    at = h[TOP]
    if at + n + 1024 > h.size:
        h[STATUS] = FULL
        return h.size - 1024 if n <= 1024 else 0
    h[TOP] = at + n
    if at + n > h[LIMIT]:
        h[STATUS] = FULL
    return at


@kernel("i8(i4[::1], i8)")
def has_room(h, n):
    """Whether n words and a margin can be allocated; sets STATUS if not."""
    if h[TOP] + n > h[LIMIT]:
        h[STATUS] = FULL
        return 0
    return 1


@kernel("i8(i4[::1], i8, i8)")
def hash_words(h, at, n):
    x = n * 40503 + 1
    for i in range(n):
        x = (x ^ h[at + i]) * -7046029254386353131
        x ^= x >> 29
    return x & 0x7FFFFFFF


@kernel("void(i4[::1])")
def grow_table(h):
    """Double the hash table (the old one stays behind as garbage)."""
    bits, old = h[TABLE_BITS], h[TABLE]
    size = 1 << (bits + 1)
    new = alloc(h, size)
    if h[STATUS] != OK:
        return
    for i in range(size):
        h[new + i] = 0
    for i in range(1 << bits):
        r = h[old + i]
        if r:
            slot = h[r] & (size - 1)
            while h[new + slot]:
                slot = (slot + 1) & (size - 1)
            h[new + slot] = r
    h[TABLE], h[TABLE_BITS] = new, bits + 1


@kernel("i8(i4[::1], i8, i8, i8, i8)")
def lookup(h, kind, n_fields, key, n):
    """Id of the record with this kind and the n key words at ``key``, or -(slot) - 1 where it would go."""
    hashed = (hash_words(h, key, n) * 31 + kind) & 0x7FFFFFFF
    mask = (1 << h[TABLE_BITS]) - 1
    slot = hashed & mask
    table = h[TABLE]
    tag = kind + 16 * n
    while True:
        r = h[table + slot]
        if r == 0:
            return -slot - 1
        if h[r] == hashed and h[r + 1] == tag:
            k = r + HEADER + n_fields
            i = 0
            while i < n and h[k + i] == h[key + i]:
                i += 1
            if i == n:
                return r
        slot = (slot + 1) & mask


@kernel("i8(i4[::1], i8, i8, i8, i8)")
def intern(h, kind, n_fields, key, n):
    """Id of the record with this key, created with zeroed fields if new (then FRESH is 1)."""
    r = lookup(h, kind, n_fields, key, n)
    h[FRESH] = 0
    if r >= 0:
        return r
    if h[TABLE_USED] * 2 > (1 << h[TABLE_BITS]):
        grow_table(h)
        r = lookup(h, kind, n_fields, key, n)
    slot = -r - 1
    at = alloc(h, HEADER + n_fields + n)
    h[at] = (hash_words(h, key, n) * 31 + kind) & 0x7FFFFFFF
    h[at + 1] = kind + 16 * n
    for i in range(n_fields):
        h[at + HEADER + i] = 0
    k = at + HEADER + n_fields
    for i in range(n):
        h[k + i] = h[key + i]
    if at + HEADER + n_fields + n < h.size - 1024:
        h[h[TABLE] + slot] = at
        h[TABLE_USED] += 1
    h[FRESH] = 1
    return at


@kernel("void(i4[::1], i8, i8)")
def sort_words(h, first, n):
    """Shell sort of n words."""
    gap = n >> 1
    while gap > 0:
        for i in range(gap, n):
            x, j = h[first + i], i
            while j >= gap and h[first + j - gap] > x:
                h[first + j] = h[first + j - gap]
                j -= gap
            h[first + j] = x
        gap >>= 1


@kernel("void(i4[::1], i8, i8)")
def sort_pairs(h, base, n):
    """Shell sort of n pairs of words."""
    gap = n >> 1
    while gap > 0:
        for i in range(gap, n):
            x, y = h[base + 2 * i], h[base + 2 * i + 1]
            j = i
            while j >= gap:
                u, v = h[base + 2 * (j - gap)], h[base + 2 * (j - gap) + 1]
                if u < x or (u == x and v <= y):
                    break
                h[base + 2 * j], h[base + 2 * j + 1] = u, v
                j -= gap
            h[base + 2 * j], h[base + 2 * j + 1] = x, y
        gap >>= 1


@kernel("void(i4[::1], i8)")
def clear_visited(h, which):
    """Forget the pairs of a set of visited pairs (VISITED: for one kernel; SEEN: kept while other kernels run)."""
    h[which + 2] += 1


@kernel("i8(i4[::1], i8, i8, i8)")
def visit(h, which, x, y):
    """1 if this pair was not yet visited since the set was cleared."""
    mask = (1 << h[which + 1]) - 1
    slot = ((x * 1000003 + y) * -7046029254386353131 >> 40) & mask
    table, epoch = h[which], h[which + 2]
    probes = 0
    while h[table + 3 * slot + 2] == epoch:
        if h[table + 3 * slot] == x and h[table + 3 * slot + 1] == y:
            return 0
        slot = (slot + 1) & mask
        probes += 1
        if probes > 512:
            h[STATUS] = TOO_LARGE
            return 0
    h[table + 3 * slot], h[table + 3 * slot + 1], h[table + 3 * slot + 2] = x, y, epoch
    return 1
