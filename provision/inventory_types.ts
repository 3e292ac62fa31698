// Generated from conf/inventory.schema.json by `npm run generate`: change the schema, not this file.

/**
 * The hosts that candlekeep is put on. Variables are parts of a cheat sheet: the inventory's own, then those of the groups in their order, then the host's, each over the ones before and all over the cheat sheet.
 */
export interface Inventory {
  /**
   * Lets an editor complete and check this file.
   */
  $schema?: string
  vars: Vars
  /**
   * Sets of hosts, by name.
   */
  groups: {
    [k: string]: {
      vars: Vars
    }
  }
  /**
   * Servers, by the name that the output calls them.
   */
  hosts: {
    [k: string]: {
      /**
       * [USER@]HOST[:PORT], as ssh has it; HOST may be an alias of ~/.ssh/config, an IPv6 address stands in brackets. Without it, the name of the host.
       */
      address?: string
      /**
       * The groups that it belongs to; later ones win.
       */
      groups: string[]
      vars: Vars
    }
  }
  /**
   * Where the installer finds the secrets of the jobs, by the name of their environment variable. Others that the cheat sheet names are taken from the installer's own environment.
   */
  secrets: {
    [k: string]: {
      /**
       * An environment variable of the installer.
       */
      env?: string
      /**
       * A file on this machine that only its owner can read; relative to the inventory.
       */
      file?: string
    }
  }
}
/**
 * A part of a cheat sheet.
 */
export interface Vars {
  [k: string]: unknown
}
