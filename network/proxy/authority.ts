/** Certificates for names whose TLS is opened. */

const KEY = {
  name: "RSASSA-PKCS1-v1_5",
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: "SHA-256",
};
const [HOUR_MS, DAY_MS] = [3600_000, 86400_000];
/** How long certificates hold, and how many names one sandbox has at once. */
const [VALID_MS, MOST_LEAVES] = [30 * DAY_MS, 256];
const SUBJECT = "ai-sandbox CA of one sandbox";

/** The part of node-forge that is used. */
interface Forge {
  readonly pki: {
    privateKeyFromPem(pem: string): ForgeKey;
    setRsaPublicKey(n: unknown, e: unknown): unknown;
    createCertificate(): ForgeCertificate;
    certificateFromPem(pem: string): ForgeCertificate;
    certificateToPem(certificate: ForgeCertificate): string;
  };
  readonly md: { readonly sha256: { create(): unknown } };
}

interface ForgeKey {
  readonly n: unknown;
  readonly e: unknown;
}

interface ForgeCertificate {
  publicKey: unknown;
  serialNumber: string;
  readonly validity: { notBefore: Date; notAfter: Date };
  setSubject(attributes: unknown): void;
  setIssuer(attributes: unknown): void;
  setExtensions(extensions: unknown): void;
  sign(key: ForgeKey, digest: unknown): void;
  generateSubjectKeyIdentifier(): { getBytes(): string };
}

/** A key with its certificate, both as PEM. */
export interface Leaf {
  readonly key: string;
  readonly certificate: string;
}

/** The authority of one sandbox: nobody else believes it, and nobody else has its key. */
export class Authority {
  readonly #leaves = new Map<string, Leaf>();
  readonly #forge: Forge;
  readonly #key: ForgeKey;
  readonly #leafKey: { readonly pem: string; readonly key: ForgeKey };
  readonly #certificate: ForgeCertificate;

  private constructor(forge: Forge, readonly pem: Leaf, leafKey: string) {
    this.#forge = forge;
    this.#key = forge.pki.privateKeyFromPem(pem.key);
    this.#leafKey = { pem: leafKey, key: forge.pki.privateKeyFromPem(leafKey) };
    this.#certificate = forge.pki.certificateFromPem(pem.certificate);
  }

  /** Makes an authority, or takes up one that was written down. */
  static async make(known?: Leaf): Promise<Authority> {
    const forge = (await import("node-forge")).default as unknown as Forge;
    const [ownKey, leafKey] = await Promise.all([known?.key ?? newKey(), newKey()]);
    if (known) return new Authority(forge, known, leafKey);
    const key = forge.pki.privateKeyFromPem(ownKey);
    const certificate = begun(forge, forge.pki.setRsaPublicKey(key.n, key.e), SUBJECT);
    certificate.setExtensions([
      { name: "basicConstraints", cA: true, pathLenConstraint: 0, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
      { name: "subjectKeyIdentifier" },
    ]);
    certificate.sign(key, forge.md.sha256.create());
    return new Authority(
      forge,
      { key: ownKey, certificate: forge.pki.certificateToPem(certificate) },
      leafKey,
    );
  }

  /** A certificate for a name, made once. */
  leaf(name: string): Leaf {
    const known = this.#leaves.get(name);
    if (known) return known;
    const { key, pem } = this.#leafKey;
    const certificate = begun(
      this.#forge,
      this.#forge.pki.setRsaPublicKey(key.n, key.e),
      name.length > 64 ? "sandbox" : name,
    );
    certificate.setExtensions([
      { name: "basicConstraints", cA: false, critical: true },
      { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
      { name: "extKeyUsage", serverAuth: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: name }] },
      {
        name: "authorityKeyIdentifier",
        keyIdentifier: this.#certificate.generateSubjectKeyIdentifier().getBytes(),
      },
    ]);
    certificate.sign(this.#key, this.#forge.md.sha256.create());
    const leaf = { key: pem, certificate: this.#forge.pki.certificateToPem(certificate) };
    this.#leaves.set(name, leaf);
    if (this.#leaves.size > MOST_LEAVES) this.#leaves.delete(this.#leaves.keys().next().value!);
    return leaf;
  }
}

function begun(forge: Forge, publicKey: unknown, subject: string): ForgeCertificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  certificate.serialNumber = `01${crypto.getRandomValues(new Uint8Array(15)).toHex()}`;
  certificate.validity.notBefore = new Date(Date.now() - HOUR_MS);
  certificate.validity.notAfter = new Date(Date.now() + VALID_MS);
  certificate.setSubject([{ name: "commonName", value: subject }]);
  certificate.setIssuer([{ name: "commonName", value: SUBJECT }]);
  return certificate;
}

async function newKey(): Promise<string> {
  const pair = await crypto.subtle.generateKey(KEY, true, ["sign", "verify"]) as CryptoKeyPair;
  const text = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)).toBase64();
  return `-----BEGIN PRIVATE KEY-----\n${text.replace(/.{1,64}/g, "$&\n")}-----END PRIVATE KEY-----\n`;
}
