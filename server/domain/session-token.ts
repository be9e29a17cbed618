import { createHmac, timingSafeEqual } from "node:crypto";

/**
 * Proof of being the process that opened a session in this incarnation: an HMAC of project, session and incarnation
 * under a secret that lives in MongoDB. Nothing is stored per session, and every hub can check it.
 */
export class SessionTokens {
  readonly #secret: string;

  constructor(secret: string) {
    this.#secret = secret;
  }

  issue(projectId: string, sessionId: string, incarnation: number): string {
    // "/" cannot occur in ids, so the parts cannot run into each other.
    return createHmac("sha256", this.#secret).update(`${projectId}/${sessionId}/${incarnation}`).digest("base64url");
  }

  isValid(token: string, projectId: string, sessionId: string, incarnation: number): boolean {
    const expected = Buffer.from(this.issue(projectId, sessionId, incarnation));
    const given = Buffer.from(token);
    return expected.length === given.length && timingSafeEqual(expected, given);
  }
}
