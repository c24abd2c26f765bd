/** The OCI JSON schemas, compiled. */

import { Ajv, type ValidateFunction } from "ajv";

const DATA = new URL("../../../testdata/oci/", import.meta.url);

/** Bytes of the samples in a folder such as `config/good`, by name. */
export function samples(folder: string): Map<string, Uint8Array> {
  const url = new URL(`${folder}/`, DATA);
  const names = [...Deno.readDirSync(url)].map(({ name }) => name).sort();
  return new Map(names.map((name) => [name, Deno.readFileSync(new URL(name, url))]));
}

/** The validator of `config-schema.json` or one of its siblings. */
export function schema(name: string): ValidateFunction {
  const ajv = new Ajv({ strict: false });
  for (const [file, bytes] of samples("schema")) {
    // They say draft-04, of which they use only what later drafts kept.
    const { $schema: _, ...rest } = JSON.parse(new TextDecoder().decode(bytes));
    ajv.addSchema(rest, file);
  }
  for (const other of ["solaris", "windows", "vm", "zos", "freebsd"]) {
    ajv.addSchema({ [other]: {} }, `config-${other}.json`);
  }
  const validate = ajv.getSchema(name);
  if (!validate) throw new Error(`no schema ${name}`);
  return validate;
}
