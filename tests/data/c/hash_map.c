/*
 * hash_map.c -- a map from strings to counters, with separate chaining.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INITIAL_BUCKETS 16u
#define MAX_LOAD(n) (((n) * 3) / 4) /* three quarters */
#define DIE(...)                            \
    do {                                    \
        fprintf(stderr, __VA_ARGS__);       \
        exit(EXIT_FAILURE);                 \
    } while (0)

#ifdef __GNUC__
#pragma GCC diagnostic ignored "-Wunused-function"
#endif

typedef struct Entry Entry;
typedef uint64_t (*HashFunction)(const char *key, size_t length);

struct Entry {
    char *key;
    uint64_t hash;
    long count;
    Entry *next;
};

typedef struct {
    Entry **buckets;
    size_t n_buckets, n_entries;
    HashFunction hash;
} Map;

static const char *const STOP_WORDS[] = {"the", "a", "of", "and", NULL};

// FNV-1a
static uint64_t fnv1a(const char *key, size_t length)
{
    uint64_t h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < length; i++) {
        h ^= (unsigned char)key[i];
        h *= 0x100000001b3ULL;
    }
    return h;
}

static void *checked_alloc(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p)
        DIE("out of memory (%zu x %zu)\n", n, size);
    return p;
}

Map *map_new(HashFunction hash)
{
    Map *map = checked_alloc(1, sizeof *map);
    *map = (Map){
        .buckets = checked_alloc(INITIAL_BUCKETS, sizeof(Entry *)),
        .n_buckets = INITIAL_BUCKETS,
        .hash = hash ? hash : fnv1a,
    };
    return map;
}

void map_free(Map *map)
{
    if (map == NULL)
        return;
    for (size_t i = 0; i < map->n_buckets; ++i) {
        Entry *entry = map->buckets[i];
        while (entry) {
            Entry *next = entry->next;
            free(entry->key);
            free(entry);
            entry = next;
        }
    }
    free(map->buckets);
    free(map);
}

static void map_grow(Map *map)
{
    size_t n = map->n_buckets * 2;
    Entry **buckets = checked_alloc(n, sizeof(*buckets));
    for (size_t i = 0; i < map->n_buckets; ++i) {
        for (Entry *e = map->buckets[i], *next; e != NULL; e = next) {
            size_t at = e->hash & (n - 1);
            next = e->next;
            e->next = buckets[at];
            buckets[at] = e;
        }
    }
    free(map->buckets);
    map->buckets = buckets;
    map->n_buckets = n;
}

static Entry **map_find(const Map *map, const char *key, size_t length, uint64_t hash)
{
    Entry **link = &map->buckets[hash & (map->n_buckets - 1)];
    while (*link && !((*link)->hash == hash && strncmp((*link)->key, key, length) == 0 && (*link)->key[length] == '\0'))
        link = &(*link)->next;
    return link;
}

long map_increment(Map *map, const char *key, size_t length, long by)
{
    uint64_t hash = map->hash(key, length);
    Entry **link = map_find(map, key, length, hash);
    if (*link == NULL) {
        if (map->n_entries + 1 > MAX_LOAD(map->n_buckets)) {
            map_grow(map);
            link = map_find(map, key, length, hash);
        }
        Entry *entry = checked_alloc(1, sizeof(Entry));
        entry->key = checked_alloc(length + 1, 1);
        memcpy(entry->key, key, length);
        entry->hash = hash;
        *link = entry;
        map->n_entries++;
    }
    return (*link)->count += by;
}

static bool is_stop_word(const char *word)
{
    for (const char *const *stop = STOP_WORDS; *stop; stop++)
        if (strcmp(*stop, word) == 0)
            return true;
    return false;
}

static int by_count(const void *left, const void *right)
{
    const Entry *a = *(const Entry *const *)left, *b = *(const Entry *const *)right;
    return a->count != b->count ? (a->count < b->count ? 1 : -1) : strcmp(a->key, b->key);
}

int main(int argc, char *argv[])
{
    char line[4096];
    Map *map = map_new(NULL);
    unsigned long n_words = 0ul;

    while (fgets(line, sizeof line, stdin) != NULL) {
        for (char *p = line; *p;) {
            while (*p && !isalpha((unsigned char)*p))
                ++p;
            char *begin = p;
            for (; *p && (isalpha((unsigned char)*p) || *p == '\''); ++p)
                *p = (char)tolower((unsigned char)*p);
            if (p > begin) {
                char saved = *p;
                *p = '\0';
                if (!is_stop_word(begin)) {
                    map_increment(map, begin, (size_t)(p - begin), 1L);
                    n_words++;
                }
                *p = saved;
            }
        }
    }

    Entry **entries = checked_alloc(map->n_entries + 1, sizeof *entries);
    size_t n = 0;
    for (size_t i = 0; i < map->n_buckets; i++)
        for (Entry *e = map->buckets[i]; e; e = e->next)
            entries[n++] = e;
    qsort(entries, n, sizeof(Entry *), by_count);

    int limit = argc > 1 ? atoi(argv[1]) : 10;
    for (size_t i = 0; i < n && (int)i < limit; i++)
        printf("%6ld  %5.2f%%  %s\n", entries[i]->count, 100.0 * (double)entries[i]->count / (double)n_words, entries[i]->key);

    free(entries);
    map_free(map);
    return EXIT_SUCCESS;
}
