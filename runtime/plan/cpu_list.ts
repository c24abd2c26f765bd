/** The numbers of a list such as `0-3,8` (cpuset(7), "List format"). */
export function parseCpuList(list: string): number[] {
  const numbers: number[] = [];
  for (const part of list.split(",")) {
    if (part.trim() === "") continue;
    const [first = 0, last = first] = part.split("-").map(Number);
    for (let number = first; number <= last; number++) numbers.push(number);
  }
  return numbers;
}
