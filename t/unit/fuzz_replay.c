
/*
 * The main() of a fuzz target without a fuzzer: every file named is one
 * input.  A target that finds a fault aborts, so a plan that isn't fulfilled
 * says so, and the line in front of it says which input it was.
 */


#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *replay_read(const char *name, size_t *size);


int
main(int argc, char **argv)
{
    int       i;
    size_t    size;
    uint8_t  *data;

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%d\n", argc - 1);

    for (i = 1; i < argc; i++) {
        data = replay_read(argv[i], &size);

        if (data == NULL) {
            printf("Bail out! %s: %s\n", argv[i], strerror(errno));
            return 1;
        }

        printf("# %s\n", argv[i]);
        (void) LLVMFuzzerTestOneInput(data, size);
        printf("ok %d - %s\n", i, argv[i]);

        free(data);
    }

    return 0;
}


/* In a block of exactly its size, so that a sanitizer sees its end. */

static uint8_t *
replay_read(const char *name, size_t *size)
{
    FILE     *file;
    long      n;
    uint8_t  *data;

    file = fopen(name, "rb");
    if (file == NULL) {
        return NULL;
    }

    data = NULL;

    if (fseek(file, 0, SEEK_END) == 0 && (n = ftell(file)) >= 0
        && fseek(file, 0, SEEK_SET) == 0)
    {
        *size = (size_t) n;
        data = malloc(n > 0 ? *size : 1);

        if (data != NULL && fread(data, 1, *size, file) != *size) {
            free(data);
            data = NULL;
        }
    }

    (void) fclose(file);

    return data;
}
