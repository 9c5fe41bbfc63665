/* A stand-in for NVIDIA's pyxis: takes its options from srun, starts no container, and shows each task what it was
 * given as FAKE_PYXIS_<OPTION>. Loaded by plugstack.conf; options unknown to pyxis stay unknown to srun. */
#include <ctype.h>
#include <slurm/spank.h>
#include <stdio.h>

SPANK_PLUGIN(fake_pyxis, 1);

static const struct { const char *name; int takes_value; } options[] = {
    {"container-image", 1},      {"container-mounts", 1},        {"container-workdir", 1},
    {"container-mount-home", 0}, {"no-container-mount-home", 0},
};
#define COUNT (int)(sizeof options / sizeof *options)
static char given[COUNT][4096];

static int take(int which, const char *value, int remote) {
    (void)remote;
    snprintf(given[which], sizeof given[which], "%s", value && *value ? value : "1");
    return ESPANK_SUCCESS;
}

int slurm_spank_init(spank_t spank, int argc, char **argv) {
    (void)argc, (void)argv;
    for (int i = 0; i < COUNT; i++) {
        struct spank_option option = {(char *)options[i].name, options[i].takes_value ? "VALUE" : NULL,
                                      "[fake pyxis] taken, not acted on", options[i].takes_value, i, take};
        if (spank_option_register(spank, &option) != ESPANK_SUCCESS) return -1;
    }
    return ESPANK_SUCCESS;
}

int slurm_spank_task_init(spank_t spank, int argc, char **argv) {
    (void)argc, (void)argv;
    for (int i = 0; i < COUNT; i++) {
        char name[64];
        int n = snprintf(name, sizeof name, "FAKE_PYXIS_%s", options[i].name);
        for (int k = 0; k < n; k++) name[k] = name[k] == '-' ? '_' : (char)toupper(name[k]);
        if (given[i][0]) spank_setenv(spank, name, given[i], 1);
    }
    return ESPANK_SUCCESS;
}
