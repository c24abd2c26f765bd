export async function readLine(): Promise<string> {
  return (await new Response(Deno.stdin.readable).text()).trim();
}
