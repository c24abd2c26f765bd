const CC = "gcc";
/** Times calls by the CPU time that they take: other programs on the machine do not count. */
const SOURCE = `
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}
int main(void) {
  enum { CALLS = 300000 };
  double a = now();
  for (int i = 0; i < CALLS; i++) syscall(SYS_getppid);
  double b = now();
  for (int i = 0; i < CALLS; i++) syscall(SYS_ioctl, -1, TCGETS, 0);
  double c = now();
  printf("%.2f %.2f\\n", (b - a) / CALLS, (c - b) / CALLS);
}
`;

/** Writes a static program that prints how many ns a getppid and a failing ioctl take; or says why it cannot. */
export async function buildProbe(path: string): Promise<string | undefined> {
  const source = `${path}.c`;
  await Deno.writeTextFile(source, SOURCE);
  const args = ["-O2", "-static", "-o", path, source];
  try {
    const { success, stderr } = await new Deno.Command(CC, { args }).output();
    return success ? undefined : `${CC} fails: ${new TextDecoder().decode(stderr).trim()}`;
  } catch (error) {
    return `${CC} cannot be run: ${(error as Error).message}`;
  }
}
