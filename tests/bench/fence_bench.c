/* A fence agent of almost no cost: parameters on standard input, the power of one plug in a file (no file: ON).
   off_ms: what `off` takes. refuse: `on` and `off` exit 1 at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char metadata[] =
    "<?xml version=\"1.0\"?><resource-agent name=\"fence_bench\" shortdesc=\"For measurements\"><parameters>"
    "<parameter name=\"action\"><content type=\"string\"/></parameter>"
    "<parameter name=\"plug\"><content type=\"string\"/></parameter>"
    "<parameter name=\"state_name\"><content type=\"string\"/></parameter>"
    "<parameter name=\"off_ms\"><content type=\"integer\"/></parameter>"
    "<parameter name=\"refuse\"><content type=\"boolean\"/></parameter>"
    "</parameters><actions><action name=\"on\"/><action name=\"off\"/><action name=\"status\"/>"
    "<action name=\"metadata\"/></actions></resource-agent>";

int main(void)
{
    char line[4096], action[64] = "", state_name[4096] = "";
    long off_ms = 0;
    int refuse = 0;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "action=", 7)) snprintf(action, sizeof action, "%s", line + 7);
        else if (!strncmp(line, "state_name=", 11)) snprintf(state_name, sizeof state_name, "%s", line + 11);
        else if (!strncmp(line, "off_ms=", 7)) off_ms = atol(line + 7);
        else if (!strncmp(line, "refuse=", 7)) refuse = atoi(line + 7);
    }
    if (!strcmp(action, "metadata")) return puts(metadata) < 0;
    if (!strcmp(action, "status")) {
        FILE *file = fopen(state_name, "r");
        int is_off = file && fgetc(file) == 'o' && fgetc(file) == 'f';
        if (file) fclose(file);
        puts(is_off ? "Status: OFF" : "Status: ON");
        return is_off ? 2 : 0;
    }
    if (refuse) {
        fputs("Unable to connect\n", stderr);
        return 1;
    }
    if (!strcmp(action, "off")) {
        struct timespec wait = {off_ms / 1000, off_ms % 1000 * 1000000};
        nanosleep(&wait, NULL);
    }
    FILE *file = fopen(state_name, "w");
    if (!file) return 1;
    fputs(action, file);
    return fclose(file) != 0;
}
