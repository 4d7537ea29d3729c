/* The chassis behind an ipmi_sim, of almost no cost: on while the file argv[1] is there.
   chassis FILE get NAME...    chassis FILE set power 0|1 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **words)
{
    if (count > 3 && !strcmp(words[2], "get"))
        for (int at = 3; at < count; at++)
            printf("%s:%d\n", words[at], !strcmp(words[at], "power") && !access(words[1], F_OK));
    if (count > 4 && !strcmp(words[2], "set") && !strcmp(words[3], "power")) {
        if (words[4][0] == '0')
            unlink(words[1]);
        else {
            FILE *file = fopen(words[1], "w");
            if (file)
                fclose(file);
        }
    }
    return 0;
}
