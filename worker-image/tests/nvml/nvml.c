/* NVML for tests: one GPU of 80 GB, in MIG devices or whole. Answers come from the file that $NVML_TEST_FILE names, read at each call.
 *
 * Its lines are a word and a number: `mig` count of MIG devices (0: whole GPU), `used` and `total` bytes of each, `error` the
 * result of every call on a device (0: none), `gone` 1 if no device is found by its UUID, `ecc` uncorrected errors (-1: not supported),
 * `hang` 1 if memory is never read to an end, and `xid` with a GPU instance behind it, any number of times.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TIMEOUT = 10 };
enum { XID_EVENT = 8, MOST = 16 };

struct device { int mig; char uuid[32]; };
struct memory { unsigned long long total, free, used; };
struct event { struct device *device; unsigned long long type, data; unsigned gi, ci; };
struct facts { long long mig, used, total, error, gone, ecc, hang; int xids; long long xid[MOST], gi[MOST]; };

static struct device gpu = {-1, "GPU-test-0"};
static struct device slices[MOST];
static int told;

static struct facts facts(void) {
    struct facts found;
    char word[32];
    long long number;
    memset(&found, 0, sizeof found);
    found.ecc = -1;
    FILE *file = fopen(getenv("NVML_TEST_FILE"), "r");
    while (file && fscanf(file, "%31s %lld", word, &number) == 2) {
        if (!strcmp(word, "mig")) found.mig = number;
        if (!strcmp(word, "used")) found.used = number;
        if (!strcmp(word, "total")) found.total = number;
        if (!strcmp(word, "error")) found.error = number;
        if (!strcmp(word, "gone")) found.gone = number;
        if (!strcmp(word, "ecc")) found.ecc = number;
        if (!strcmp(word, "hang")) found.hang = number;
        if (!strcmp(word, "xid") && found.xids < MOST) {
            found.xid[found.xids] = number;
            if (fscanf(file, "%lld", &found.gi[found.xids]) == 1) found.xids++;
        }
    }
    if (file) fclose(file);
    return found;
}

static int state(void) { return (int)facts().error; }

const char *nvmlErrorString(int result) { return result == 15 ? "GPU is lost" : "test error"; }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return OK; }
int nvmlShutdown(void) { return OK; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return state(); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **found) { *found = &gpu; return index ? INVALID : state(); }

int nvmlDeviceGetMigDeviceHandleByIndex(struct device *parent, unsigned index, struct device **found) {
    if (parent != &gpu || index >= facts().mig) return NOT_FOUND;
    slices[index].mig = (int)index;
    snprintf(slices[index].uuid, sizeof slices[index].uuid, "MIG-test-%u", index);
    *found = &slices[index];
    return state();
}

int nvmlDeviceGetHandleByUUID(const char *uuid, struct device **found) {
    if (facts().gone) return NOT_FOUND;
    if (!strcmp(uuid, gpu.uuid)) { *found = &gpu; return state(); }
    if (strncmp(uuid, "MIG-test-", 9)) return NOT_FOUND;
    return nvmlDeviceGetMigDeviceHandleByIndex(&gpu, (unsigned)atoi(uuid + 9), found);
}

int nvmlDeviceGetUUID(struct device *device, char *text, unsigned length) { snprintf(text, length, "%s", device->uuid); return state(); }
int nvmlDeviceGetMaxMigDeviceCount(struct device *device, unsigned *count) { (void)device; *count = 7; return state(); }
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(struct device *device, struct device **found) { *found = &gpu; return device->mig < 0 ? INVALID : state(); }
int nvmlDeviceGetGpuInstanceId(struct device *device, unsigned *id) { *id = (unsigned)device->mig + 1; return device->mig < 0 ? INVALID : state(); }
int nvmlDeviceGetComputeInstanceId(struct device *device, unsigned *id) { *id = 0; return device->mig < 0 ? INVALID : state(); }

int nvmlDeviceGetMigMode(struct device *device, unsigned *current, unsigned *pending) {
    *current = *pending = facts().mig > 0;
    return device == &gpu ? state() : INVALID;
}

int nvmlDeviceGetMemoryInfo(struct device *device, struct memory *memory) {
    struct facts now = facts();
    while (now.hang) pause();
    /* The parent has the memory of the whole GPU, as the real library says it. */
    memory->total = device == &gpu && now.mig ? 80000000000ULL : (unsigned long long)now.total;
    memory->used = device == &gpu && now.mig ? 79000000000ULL : (unsigned long long)now.used;
    memory->free = memory->total - memory->used;
    if (now.error == OK && device != &gpu && device->mig >= now.mig) return INVALID;
    return (int)now.error;
}

int nvmlDeviceGetTotalEccErrors(struct device *device, int kind, int counter, unsigned long long *count) {
    struct facts now = facts();
    (void)device, (void)kind, (void)counter;
    if (now.ecc < 0) return NOT_SUPPORTED;
    *count = (unsigned long long)now.ecc;
    return (int)now.error;
}

int nvmlEventSetCreate(void **set) { static int one; *set = &one; return OK; }
int nvmlEventSetFree(void *set) { (void)set; return OK; }
int nvmlDeviceRegisterEvents(struct device *device, unsigned long long types, void *set) { (void)types, (void)set; return device == &gpu ? state() : NOT_SUPPORTED; }

int nvmlEventSetWait_v2(void *set, struct event *event, unsigned milliseconds) {
    (void)set;
    for (unsigned waited = 0;; waited += 10) {
        struct facts now = facts();
        if (told < now.xids) {
            *event = (struct event){&gpu, XID_EVENT, (unsigned long long)now.xid[told], (unsigned)now.gi[told], 0xFFFFFFFF};
            told++;
            return OK;
        }
        if (now.error) return (int)now.error;
        if (waited >= milliseconds) return TIMEOUT;
        usleep(10000);
    }
}
