import type { Browser, BrowserContextOptions } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { type Example, ExampleServer } from "../../dialogue-client/typescript/tests/support/example-server.js";
import { launch, type PersonsPage } from "./persons-page.js";

/** What the browser itself says of a connection that a test breaks. */
export const LOST_CONNECTION = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_FAILED|WebSocket/;

export const NARROW: BrowserContextOptions = { viewport: { width: 360, height: 640 } };

/**
 * What the tests of a file play on: one browser, and for each test a server and
 * the people who visit it. A test whose pages have problems fails.
 */
export class Stage {
  #browser: Browser | undefined;
  #server: ExampleServer | undefined;
  #people: PersonsPage[] = [];

  /** Made at the top of a file, which registers what is done before and after its tests. */
  constructor() {
    beforeAll(async () => {
      this.#browser = await launch();
    });
    afterEach(async () => {
      const people = this.#people.splice(0);
      const problems = people.flatMap((person) => person.problems);
      for (const { page } of people) await page.context().close();
      await this.#server?.kill();
      expect(problems).toEqual([]);
    });
    afterAll(() => this.#browser?.close());
  }

  get browser(): Browser {
    return this.#browser!;
  }

  get server(): ExampleServer {
    return this.#server!;
  }

  /** Starts the server of a test. */
  async start(example: Example, environment?: NodeJS.ProcessEnv): Promise<void> {
    this.#server = await ExampleServer.start(example, environment);
  }

  /** Takes a person's page in, until the test has ended. */
  admit<Page extends PersonsPage>(person: Page): Page {
    this.#people.push(person);
    return person;
  }
}
