/** What waits for the hub's word, over all sessions of an agent. */
export interface OutboxDepth {
  readonly publishes: number;
  /** Of their JSON. */
  readonly bytes: number;
}

interface Bounds {
  readonly maxPublishes: number;
  readonly maxBytes: number;
}

/** The room that an agent's sessions share. */
export class OutboxBudget {
  readonly #bounds: Bounds;
  readonly #onChange: () => void;
  #publishes = 0;
  #bytes = 0;

  constructor(bounds: Bounds, onChange: () => void) {
    this.#bounds = bounds;
    this.#onChange = onChange;
  }

  get depth(): OutboxDepth {
    return { publishes: this.#publishes, bytes: this.#bytes };
  }

  hasRoomFor(publishes: number, bytes: number): boolean {
    const { maxPublishes, maxBytes } = this.#bounds;
    return this.#publishes + publishes <= maxPublishes && (bytes <= 0 || this.#bytes + bytes <= maxBytes);
  }

  take(bytes: number): void {
    this.#change(1, bytes);
  }

  give(bytes: number): void {
    this.#change(-1, -bytes);
  }

  resize(bytes: number): void {
    this.#change(0, bytes);
  }

  #change(publishes: number, bytes: number): void {
    this.#publishes += publishes;
    this.#bytes += bytes;
    this.#onChange();
  }
}
